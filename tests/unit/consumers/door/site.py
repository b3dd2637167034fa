"""The door on a real socket, in a thread of this process, before decoders that do as an image's bytes say."""

import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from consumers.decoding.decoders import Fetched
from consumers.decoding.frames import Content, Decoded
from consumers.door.desk import Desk, Shares
from consumers.door.serve import Door
from consumers.door.terms import DoorTerms
from consumers.imaging.inputs import InputSpec
from consumers.inference.batches import BatchLimits
from consumers.inference.forward import Forward
from consumers.models.loaded import Assignment, OneModel
from consumers.results.outcome import Named
from radstream.service import Stop
from schemas.errors import ModelLoading, NotEvaluable
from schemas.words import Lane, Reason
from tests.running import unused_port
from tests.unit.consumers.loaded import FirstPixel, loaded

DICOM = {"Content-Type": "application/dicom"}


def image(order: str) -> bytes:
    """Make a file that begins as Part 10 does and says what becomes of it."""
    return bytes(128) + b"DICM" + order.encode()


@dataclass(slots=True)
class Pool:
    """Decoders that read what an image says: a logit, a reason, `hold` (until `let_go`), or nonsense (a failure)."""

    held: dict[str, Future[Fetched]] = field(default_factory=dict)
    seen: list[tuple[Lane, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def submit_bytes(
        self, lane: Lane, content: Content, _specs: Sequence[InputSpec], _timeout_s: float
    ) -> Future[Fetched]:
        order = bytes(content[132:]).decode()
        future: Future[Fetched] = Future()
        with self.lock:
            self.seen.append((lane, order))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        future.add_done_callback(self._done)
        if order.startswith("hold"):
            self.held[order] = future
        elif order in set(Reason):
            future.set_result(Fetched(NotEvaluable(Reason(order)), 0.0, 1.0))
        else:
            try:
                future.set_result(decoded(float(order)))
            except ValueError as error:
                future.set_exception(error)
        return future

    def let_go(self) -> None:
        """Decode everything that is held."""
        while self.held:
            _, future = self.held.popitem()
            future.set_result(decoded(1.0))

    def _done(self, _done: object) -> None:
        with self.lock:
            self.at_once -= 1


def decoded(logit: float) -> Fetched:
    """Make a decoded image that the model gives this logit."""
    tensor = np.full((3, 2, 2), logit, np.float32)
    return Fetched((Decoded(tensor, {}, {}, needs_review=False),), 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, read whole."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Site:
    """The door and its client."""

    port: int
    pool: Pool
    engine: FirstPixel
    stop: Stop
    registry: CollectorRegistry

    @property
    def in_hand(self) -> float:
        """Requests that are read or answered at this moment (count)."""
        return self.registry.get_sample_value("radstream_predict_requests_in_hand") or 0.0

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        """Send one request on a connection of its own."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            client.request(method, path, body, headers or {})
            response = client.getresponse()
            content = response.read()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, json.loads(content) if content else None)
        finally:
            client.close()

    def predict(self, order: str, query: str = "", **headers: str) -> Answer:
        """Send one image."""
        return self.ask("POST", f"/v1/predict{query}", image(order), DICOM | headers)

    def batch(self, *contents: bytes, path: str = "/v1/predict/batch") -> Answer:
        """Send images as a form."""
        body = b"".join(part(content, number) for number, content in enumerate(contents)) + b"--b--\r\n"
        return self.ask("POST", path, body, {"Content-Type": "multipart/form-data; boundary=b"})

    def in_background(self, order: str, query: str = "") -> "Future[Answer]":
        """Send one image from a thread of its own."""
        made: Future[Answer] = Future()
        threading.Thread(target=lambda: made.set_result(self.predict(order, query)), daemon=True).start()
        return made


def part(content: bytes, number: int = 0) -> bytes:
    """Write one part of a form."""
    head = f'--b\r\nContent-Disposition: form-data; name="{number}"; filename="DOE^JANE.dcm"\r\n\r\n'
    return head.encode() + content + b"\r\n"


TERMS = DoorTerms(
    address="127.0.0.1",
    port=0,
    tokens=None,
    request_bytes=100_000,
    pending_bytes=200_000,
    images=4,
    connections=16,
    answer_seconds=20,
    idle_seconds=20,
    sender_seconds=20,
    shares=Shares(decoding=1, under_way=3, decode_seconds=20),
)


@contextmanager
def opened(tokens: Path | None = None, *, is_loaded: bool = True, **changed: Any) -> Iterator[Site]:
    """Open a door; at the end it must stop by itself."""
    terms = replace(TERMS, port=unused_port(), tokens=tokens, **changed)
    pool, engine, stop = Pool(), FirstPixel(), Stop()
    forward = Forward(BatchLimits())
    desk = Desk(pool, forward, OneModel(Assignment(model=loaded(engine))) if is_loaded else NoModels(), terms.shares)
    registry = CollectorRegistry()
    door = Door(terms, registry)
    thread = threading.Thread(target=door.run, args=(desk, stop), daemon=True)
    thread.start()
    try:
        yield Site(terms.port, pool, engine, stop, registry)
    finally:
        stop.request()
        pool.let_go()
        thread.join(30)
        door.close()
        forward.close()
        assert not thread.is_alive(), "the door does not stop"


class NoModels:
    """Assignments before any model is loaded."""

    def of(self, _event: object, _asked: object) -> Sequence[Assignment]:
        raise ModelLoading("none yet")

    def who(self, _event: object, _asked: object) -> Named:
        return Named(model="m", version="1.0.0")
