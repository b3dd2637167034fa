"""What becomes of an image that came through the door: the same decoders, the same models, the same rule of a result.

No event, no log, no object: an image and its answer live in this process's memory until they are sent back.
"""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Protocol
from uuid import UUID

from consumers.decoding.decoders import Fetched
from consumers.decoding.frames import Content
from consumers.door.predicted import Predicted, study_of
from consumers.imaging.inputs import InputSpec
from consumers.inference.forward import Answer, Engines
from consumers.inference.futures import followed, settled
from consumers.lanes.queue import Turns
from consumers.loop.clock import Clock
from consumers.loop.headers import Address
from consumers.models.loaded import Assignment, Assignments
from consumers.results.outcome import Asked, evaluated
from schemas.errors import ModelRefused, NotEvaluable, Unavailable
from schemas.instance_received import InstanceReceived
from schemas.words import Lane, Role

#: PS3.10 7.1, and the first bytes of the two picture formats. A preamble may look like a picture, so DICM goes first.
_DICM_AT, _DICM = 128, b"DICM"
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")

#: Enough to meet whoever answers a tenth of the studies (count): it is missed once in a thousand.
_STUDIES = 66


class Pool(Protocol):
    """What the desk asks of the decoders."""

    def submit_bytes(
        self, lane: Lane, content: Content, specs: Sequence[InputSpec], timeout_s: float
    ) -> Future[Fetched]:
        """Queue an image that is here already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How much of the pool and of the engine the door's images take."""

    decoding: int  # images at the decoders at one time (count)
    under_way: int  # images at decoders and engine together (count)
    decode_seconds: float  # a decode longer than this is ended


@dataclass(frozen=True, slots=True)
class _Image:
    lane: Lane
    content: Content
    came_at: datetime
    came: float  # monotonic seconds
    answer: Future[Predicted]


class NoModel(Exception):
    """No model is loaded."""


class NoImage(Exception):
    """The bytes don't begin as any kind of file that we take."""


class Desk:
    """Answers images in the order of their lanes, a few at one time, so that the log's images keep their share.

    What else was sent waits here, where it is in nobody's way.
    """

    def __init__(
        self, pool: Pool, engines: Engines, assignments: Assignments, shares: Shares, clock: Clock | None = None
    ) -> None:
        self._pool = pool
        self._engines = engines
        self._assignments = assignments
        self._shares = shares
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._turns = Turns()
        self._waiting: dict[Lane, deque[_Image]] = {lane: deque() for lane in Lane}
        self._decoding = 0
        self._under_way = 0

    def ask(self, lane: Lane, content: Content) -> Future[Predicted]:
        """Queue an image. The future raises NoImage, NoModel, or NotEvaluable with its reason.

        Cancel it when nobody waits any more: an image that no decoder has begun is then dropped.
        """
        answer: Future[Predicted] = Future()
        if not is_image(content):
            answer.set_exception(NoImage())
            return answer
        image = _Image(lane, content, self._clock.utc(), self._clock.monotonic(), answer)
        with self._lock:
            self._waiting[lane].append(image)
        self._advance()
        return answer

    def assigned(self) -> Sequence[Assignment]:
        """Give who answers now, the champion first; nobody while no model is loaded, or none is known for sure.

        A canary answers the share of the studies that falls to it: studies are tried until all were most likely met.
        """
        found: dict[tuple[str, Role], Assignment] = {}
        for study in range(_STUDIES):
            try:
                some = self._answering(str(study))
            except (Unavailable, ModelRefused):
                return ()
            found |= {(one.model.version, one.role): one for one in some}
        return sorted(found.values(), key=lambda one: list(Role).index(one.role))

    @property
    def waiting(self) -> int:
        """Images that wait here (count)."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def _answering(self, study: str) -> Sequence[Assignment]:
        event = replace(_stand_in(Lane.ROUTINE, self._clock.utc()), study_pseudonym=study)
        return self._assignments.of(event, Address(None, 1))

    def _advance(self) -> None:
        """Send to the decoders what there is room for."""
        while (image := self._next()) is not None:
            self._begin(image)

    def _next(self) -> _Image | None:
        with self._lock:
            while self._decoding < self._shares.decoding and self._under_way < self._shares.under_way:
                lanes = [lane for lane, images in self._waiting.items() if images]
                if not lanes:
                    return None
                image = self._waiting[self._turns.next(lanes)].popleft()
                if image.answer.set_running_or_notify_cancel():
                    self._decoding += 1
                    self._under_way += 1
                    return image
            return None

    def _begin(self, image: _Image) -> None:
        """Decode, forward, and make the result; every way out gives the places back.

        An image from here has no study: its file's hash stands for it, so a canary has its share of them, and the same
        file is answered by the same version. The first of who answers is visible, others are shadows.
        """
        try:
            by = self._answering(study_of(image.content))[0]
        except (Unavailable, ModelRefused):
            nobody: Future[Predicted] = Future()
            nobody.set_exception(NoModel())
            self._left_decoders(nobody)
            self._ended(image, nobody)
            return
        waited_ms = 1000 * (self._clock.monotonic() - image.came)
        fetched = self._pool.submit_bytes(image.lane, image.content, [by.model.spec], self._shares.decode_seconds)
        # A decoder is free as soon as it has decoded: the next image goes there while this one is at the engine.
        fetched.add_done_callback(self._left_decoders)
        result = followed(fetched, partial(self._forwarded, image, by, waited_ms))
        result.add_done_callback(partial(self._ended, image))

    def _forwarded(self, image: _Image, by: Assignment, waited_ms: float, fetched: Fetched) -> Future[Predicted]:
        if isinstance(fetched.images, NotEvaluable):
            raise fetched.images
        (decoded,) = fetched.images
        stages = {"queue": waited_ms, "decode": fetched.decode_ms}

        def result(answer: Answer) -> Future[Predicted]:
            timed = {**stages, "batch": answer.waited_ms, "forward": answer.forward_ms}
            event = _stand_in(image.lane, image.came_at)
            asked = Asked(event=event, revision=1, completed_at=self._clock.utc(), stage_ms=timed)
            row = answer.inference
            evidence = None if row.evidence is None else row.evidence[0]
            return settled(Predicted(evaluated(asked, by.answering, decoded, row), evidence))

        return followed(self._engines.submit(image.lane, by.model, decoded.tensor), result)

    def _left_decoders(self, _done: object) -> None:
        with self._lock:
            self._decoding -= 1
        self._advance()

    def _ended(self, image: _Image, done: Future[Predicted]) -> None:
        with self._lock:
            self._under_way -= 1
        error = done.exception()
        if error is not None:
            image.answer.set_exception(error)
        else:
            image.answer.set_result(done.result())
        self._advance()


def is_image(content: Content) -> bool:
    """Say whether a file begins as one of those that we take: its bytes count, whatever its media type says."""
    return content[_DICM_AT : _DICM_AT + len(_DICM)] == _DICM or content.startswith(_PICTURES)


def _stand_in(lane: Lane, came_at: datetime) -> InstanceReceived:
    """Make the event that this image never was, so that its result is made by the rule of all results."""
    nothing = ""
    return InstanceReceived(
        event_id=UUID(int=0),
        instance_pseudonym=nothing,
        study_pseudonym=nothing,
        patient_pseudonym=nothing,
        key_id=nothing,
        revision=1,
        object_bucket=nothing,
        object_key=nothing,
        size_bytes=0,
        sha256=nothing,
        transfer_syntax_uid=nothing,
        sop_class_uid=nothing,
        lane=lane,
        site=nothing,
        received_at=came_at,
        calling_ae=nothing,
    )
