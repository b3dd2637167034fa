"""The prediction door of a real inference process, and the cache before its engine."""

import http.client
import json
import socket
import struct
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

import imagecodecs
import numpy as np
import pytest
from pydicom import Dataset

from consumers.imaging.wrap import wrap
from schemas.words import Lane
from tests.integration.consumers.conftest import Made
from tests.integration.consumers.films import film, films
from tests.publishing import Sender, part10
from tests.running import Service, until, unused_port

pytestmark = pytest.mark.stack

Start = Callable[..., Service]
DICOM, PNG = "application/dicom", "image/png"


@dataclass(frozen=True, slots=True)
class Door:
    """A client of the door at a port."""

    port: int

    def ask(self, content: bytes, kind: str = DICOM, query: str = "") -> tuple[int, dict[str, Any]]:
        """Send one image; give status and body."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            client.request("POST", f"/v1/predict{query}", content, {"Content-Type": kind})
            response = client.getresponse()
            return response.status, json.loads(response.read())
        finally:
            client.close()


def whole(dataset: Dataset) -> bytes:
    """Write a film as a file."""
    return b"".join(part10(dataset))


def picture() -> bytes:
    """Draw a PNG that no other test has."""
    return imagecodecs.png_encode(np.random.default_rng().integers(0, 256, (300, 280), np.uint8))


def bomb() -> bytes:
    """Make a PNG of a kilobyte that says 60,000 x 60,000 pixels."""
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 16, 6, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(100_000))), (b"IEND", b""))
    written = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def meter(service: Service, line: str) -> float:
    """Read one value of a service's metrics."""
    with urlopen(f"http://127.0.0.1:{service.metrics_port}/metrics", timeout=5) as answer:
        found = [text for text in answer.read().decode().splitlines() if text.startswith(line)]
    return float(found[0].rpartition(" ")[2]) if found else 0.0


def test_the_door_answers_as_the_log_does(service: Start, sender: Sender, made: Made) -> None:
    """The same image: the same numbers, reasons and reviews, for DICOM and for a wrapped picture.

    And a bomb, a cut file and half a picture take only themselves.
    """
    port = unused_port()
    service("inference", RADSTREAM_PREDICT_PORT=str(port))
    drawn = picture()
    sent = [(film(), None), (film(ViewPosition="LL"), None), (wrap(drawn), drawn)]
    events = [sender.send(dataset) for dataset, _ in sent]
    results = {one.event_id: one for one in made.wait([one.event_id for one in events])}

    for (dataset, bare), event in zip(sent, events, strict=True):
        result = results[event.event_id]
        status, body = Door(port).ask(bare or whole(dataset), PNG if bare else DICOM)

        assert status == (422 if result.reason else 200)
        assert (body["outcome"], body.get("reason")) == (result.outcome, result.reason)
        assert body["needs_review"] == result.needs_review
        if not result.reason:
            assert body["probabilities"] == result.probabilities
            assert (body["finding"], body["threshold"], body["model_version"]) == (
                result.finding,
                result.threshold,
                result.model_version,
            )
            assert body["review_reasons"] == list(result.review_reasons)
    assert len(made.results([one.event_id for one in events])) == len(events)
    good, reason = whole(film()), "undecodable"
    hostile = [(bomb(), PNG), (good[: len(good) // 2], DICOM), (drawn[:200], PNG)]
    assert [Door(port).ask(*one)[1]["reason"] for one in hostile] == [reason] * 3
    assert Door(port).ask(good)[0] == 200


def test_stat_from_the_log_overtakes_a_flood(service: Start, sender: Sender, made: Made) -> None:
    """Eight clients ask without a pause, as STAT too: the log's images have their results, the flood is served."""
    port = unused_port()
    service("inference", RADSTREAM_PREDICT_PORT=str(port))
    content, over = whole(films(1)[0]), threading.Event()
    statuses: list[int] = []

    def flood(query: str) -> None:
        while not over.is_set():
            statuses.append(Door(port).ask(content, query=query)[0])

    clients = [threading.Thread(target=flood, args=("?lane=stat" * (n % 2),), daemon=True) for n in range(8)]
    for client in clients:
        client.start()
    until(lambda: 200 in statuses, 60, "the flood is not served")
    before = len(statuses)
    sent = {sender.send(one, lane).event_id for one, lane in zip(films(12), 6 * list(Lane), strict=True)}

    results = made.wait(sent, seconds=120)
    until(lambda: len(statuses) > before, 60, "the flood is not served beside")
    over.set()
    for client in clients:
        client.join(60)

    assert len(results) == len(sent)
    assert set(statuses) == {200}


def test_a_service_under_load_stops_and_starts_again_on_its_port(service: Start) -> None:
    """SIGTERM ends it with 0 in time, `kill -9` leaves nothing behind: the port is free for the next."""
    port = unused_port()
    inference = service("inference", RADSTREAM_PREDICT_PORT=str(port))
    content, over = whole(films(1)[0]), threading.Event()

    def flood() -> None:
        while not over.is_set():
            try:
                Door(port).ask(content)
            except (OSError, http.client.HTTPException):
                over.wait(0.05)  # it is away for a moment

    client = threading.Thread(target=flood, daemon=True)
    client.start()
    until(lambda: meter(inference, "radstream_predict_images_total") > 0, 60, "not asked")

    assert inference.stop() == 0
    inference.start()
    inference.kill9()
    inference.start()
    over.set()
    client.join(60)
    assert Door(port).ask(content)[0] == 200


def test_a_port_in_use_ends_the_service_with_one_line(service: Start) -> None:
    """Which port, and what to set; exit status 1."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        inference = service("inference", wait=False, RADSTREAM_PREDICT_PORT=str(port))

        assert inference.wait_exit(60) == 1
    (line,) = [one for one in inference.tail().splitlines() if one.startswith("inference: ")]
    assert f"port {port} of the prediction door" in line


def test_a_seen_image_is_answered_from_redis(service: Start, sender: Sender, made: Made) -> None:
    """In the log and at the door, over a restart, with the same numbers."""
    port = unused_port()
    settings = {"RADSTREAM_PREDICT_PORT": str(port), "RADSTREAM_PREDICTION_CACHE": "1"}
    settings["RADSTREAM_PREDICTION_CACHE_WAIT_SECONDS"] = "10"
    inference = service("inference", **settings)
    dataset = film()
    (first,) = made.wait([sender.send(dataset).event_id])
    until(lambda: meter(inference, 'radstream_prediction_cache_total{outcome="miss"}') > 0, 20, "not counted")

    hits = 'radstream_prediction_cache_total{outcome="hit"}'
    until(lambda: Door(port).ask(whole(dataset))[0] == 200 and meter(inference, hits) > 0, 60, "never a hit")
    inference.stop()
    inference.start(**settings)
    status, body = Door(port).ask(whole(dataset))

    assert meter(inference, hits) > 0
    assert (status, body["probabilities"]) == (200, first.probabilities)
    assert body["stage_ms"]["forward"] == 0


def test_a_redis_that_stands_still_holds_no_image(service: Start, sender: Sender, made: Made) -> None:
    """It takes connections and never answers: counted, and every image has its result."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        inference = service("inference", RADSTREAM_REDIS_URL=address, RADSTREAM_PREDICTION_CACHE="1")

        made.wait([sender.send(one).event_id for one in films(3)])

        assert meter(inference, 'radstream_prediction_cache_errors_total{cause="away"}') >= 1
