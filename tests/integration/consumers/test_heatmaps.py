"""A heat map beside its result, on real servers: there before the result is, and waited for while the store is away."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from consumers.results.heatmaps import key_of
from radstream.objects.stores import s3_objects
from radstream.settings import Settings
from radstream.stack.probes import health
from schemas.inference_completed import InferenceCompleted
from tests.integration.consumers.conftest import Made
from tests.integration.consumers.films import film
from tests.publishing import Sender
from tests.running import Service, until

pytestmark = pytest.mark.stack
Start = Callable[..., Service]
#: EfficientNet-Lite0 at 224 pixels has a last map of 7 x 7.
MAP = (7, 7)


class ReadOnly(ThreadingHTTPServer):
    """The object store, which answers reads, and 503 to writes until `writable` is set."""

    daemon_threads = True

    def __init__(self, target_port: int) -> None:
        super().__init__(("127.0.0.1", 0), Forwarding)
        self.target_port = target_port
        self.writable = threading.Event()
        self.refused: list[str] = []


class Forwarding(BaseHTTPRequestHandler):
    """Passes a request on with every header as it came: the signature is over them."""

    protocol_version = "HTTP/1.1"
    server: ReadOnly

    def do_GET(self) -> None:
        """Pass on."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.command == "PUT" and not self.server.writable.is_set():
            self.server.refused.append(self.path.partition("?")[0])
            self._answer(503, b"")
            return
        there = HTTPConnection("127.0.0.1", self.server.target_port, timeout=30)
        there.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            there.putheader(name, value)
        there.endheaders(body or None)
        found = there.getresponse()
        self._answer(found.status, found.read())
        there.close()

    def do_PUT(self) -> None:
        """Pass on, or refuse."""
        self.do_GET()

    def log_message(self, *_said: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def read_only(stack: Settings) -> Iterator[ReadOnly]:
    """Stand before the store."""
    server = ReadOnly(int(stack.s3_url.rpartition(":")[2]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def check_map(stack: Settings, result: InferenceCompleted) -> None:
    """Read the map of a result as a viewer would."""
    assert result.heatmap_key == key_of(result.result_id, result.result_revision)
    picture = cv2.imdecode(np.frombuffer(s3_objects(stack).get(result.heatmap_key), np.uint8), cv2.IMREAD_UNCHANGED)
    assert (picture.shape, picture.dtype) == (MAP, np.uint8)


def test_a_positive_film_has_a_map_and_a_negative_one_none(
    service: Start, sender: Sender, made: Made, stack: Settings
) -> None:
    """By default; what phantoms are to the model is chance, and of some dozens both kinds come."""
    service("inference")
    found: list[InferenceCompleted] = []

    for _ in range(10):
        found += made.wait([sender.send(film()).event_id for _ in range(4)])
        if any(one.heatmap_key for one in found):
            break

    positives = [one for one in found if one.finding == "PNEUMONIA"]
    assert positives
    for one in positives:
        check_map(stack, one)
    assert all(one.heatmap_key is None for one in found if one.finding != "PNEUMONIA")


def test_a_store_that_takes_no_map_holds_the_results_and_loses_nothing(
    service: Start, sender: Sender, made: Made, stack: Settings
) -> None:
    """Images are read and run, no map is taken: no result, no dead letter; then each has its one result and its map."""
    with read_only(stack) as store:
        inference = service(
            "inference", RADSTREAM_S3_URL=f"http://127.0.0.1:{store.server_port}", RADSTREAM_HEATMAPS="all"
        )
        sent = [sender.send(film()).event_id for _ in range(5)]
        until(lambda: "object_store_down" in str(health(inference.metrics_port) or ""), 60, "the lane was not held")
        assert made.results(sent) == []
        assert store.refused
        assert all("/heatmaps/" in path for path in store.refused)

        store.writable.set()
        results = made.wait(sent)

        assert len(results) == len(sent)
        assert made.letters(sent) == []
        for one in results:
            check_map(stack, one)
