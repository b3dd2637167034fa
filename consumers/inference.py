"""An inference group: from an InstanceReceived to its one InferenceCompleted."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np

from consumers.clock import Clock
from consumers.dead_letters import DeadLetters
from consumers.decoder_frames import Decoded
from consumers.decoders import Fetched
from consumers.engines.engine import Engine
from consumers.headers import address, onward
from consumers.instruments import Instruments
from consumers.lanes import Gate
from consumers.outcome import Answering, Asked, evaluated, not_evaluated
from consumers.window import InHand
from radstream.broker import Message, Outgoing
from radstream.logs import get_log
from schemas.codec import Codec
from schemas.errors import BadImage, BadMessage, NotEvaluable, UndecodableMessage
from schemas.inference_completed import InferenceCompleted
from schemas.instance_received import InstanceReceived
from schemas.topics import COMPLETED
from schemas.words import Lane, Reason

#: Reasons that are a failure of the image's bytes or of ours: they stand in the dead letters too (promise 3).
DEAD = frozenset(
    {
        Reason.UNDECODABLE,
        Reason.DECODER_CRASHED,
        Reason.OBJECT_MISSING,
        Reason.OBJECT_CORRUPT,
        Reason.INTERNAL,
    }
)

#: Images of one pass through the engine's door: on a CPU larger ones gain little, and STAT would wait for them.
FORWARD_IMAGES = 4


class Pool(Protocol):
    """What the group asks of the decoders."""

    def submit(self, event: InstanceReceived) -> "Future[Fetched]":
        """Queue an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One image on its way through the group."""

    message: Message
    event: InstanceReceived
    revision: int
    taken_at: datetime  # UTC
    decoded_at: float  # monotonic seconds
    fetched: Fetched


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The model that answers, and its door, which both lanes share."""

    answering: Answering
    engine: Engine
    door: Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceGroup:
    """The handler of one lane."""

    name: str
    lane: Lane
    model: Model
    pool: Pool
    codec: Codec
    letters: DeadLetters
    instruments: Instruments
    clock: Clock

    def begin(self, message: Message) -> "Future[Seen | None]":
        """Send an image to the decoders; a replay for another group is passed by."""
        asked = address(message.headers)
        made: Future[Seen | None] = Future()
        if not asked.concerns(self.name):
            made.set_result(None)
            return made
        event = self._event(message)
        taken_at = self.clock.utc()

        def settle(done: "Future[Fetched]") -> None:
            try:
                fetched = done.result()
            # The pool's error is the loop's to judge.
            except Exception as error:  # noqa: BLE001
                made.set_exception(error)
                return
            if isinstance(fetched.image, NotEvaluable) and fetched.image.reason in DEAD:
                made.set_exception(fetched.image)
                return
            made.set_result(
                Seen(
                    message=message,
                    event=event,
                    revision=asked.revision,
                    taken_at=taken_at,
                    decoded_at=self.clock.monotonic(),
                    fetched=fetched,
                )
            )

        self.pool.submit(event).add_done_callback(settle)
        return made

    def finish(self, done: Sequence[Seen]) -> list[list[Outgoing]]:
        """Run the model over what is in scope, and make everybody's result."""
        forwarded = self._forward([one for one in done if isinstance(one.fetched.image, Decoded)])
        return [[self._outgoing(one.message, forwarded.get(id(one)) or self._refused(one))] for one in done]

    def give_up(self, item: InHand[Seen], error: Exception) -> list[Outgoing]:
        """Make a dead letter, and the event's one result that says why.

        A message that can't be read names no event, so nothing can be said of one; a malformed replay adds nothing to
        the result that is there.
        """
        try:
            event = self._event(item.message)
        except BadMessage:
            event = None
        event_id = event.event_id if event else None
        letter = self.letters.record(item.message, error, item.attempts, item.first_seen, event_id)
        if event is None or isinstance(error, BadMessage):
            return [letter]
        reason = error.reason if isinstance(error, BadImage) else Reason.INTERNAL
        stage_ms = {"queue": _milliseconds(item.first_seen - event.received_at)}
        asked = self._asked(event, address(item.message.headers).revision, stage_ms)
        return [self._outgoing(item.message, not_evaluated(asked, self.model.answering, reason)), letter]

    def _event(self, message: Message) -> InstanceReceived:
        event = self.codec.decode(message.value)
        if not isinstance(event, InstanceReceived):
            raise UndecodableMessage(f"a {type(event).__name__} where an InstanceReceived should be")
        return event

    def _forward(self, images: Sequence[Seen]) -> dict[int, InferenceCompleted]:
        """Run the model, a few images each time through the door, so that STAT waits for a few at most."""
        found: dict[int, InferenceCompleted] = {}
        for first in range(0, len(images), FORWARD_IMAGES):
            part = images[first : first + FORWARD_IMAGES]
            with self.model.door.passing(self.lane):
                begun = self.clock.monotonic()
                batch = np.stack([one.fetched.image.tensor for one in part if isinstance(one.fetched.image, Decoded)])
                answer = self.model.engine.infer(batch)
                forward_ms = 1000 * (self.clock.monotonic() - begun)
            for one, logits, projection in zip(part, answer.logits, answer.projection, strict=True):
                stages = {**_stages(one), "batch": 1000 * (begun - one.decoded_at), "forward": forward_ms}
                asked = self._asked(one.event, one.revision, stages)
                if isinstance(one.fetched.image, Decoded):
                    found[id(one)] = evaluated(asked, self.model.answering, one.fetched.image, (logits, projection))
        return found

    def _refused(self, one: Seen) -> InferenceCompleted:
        reason = one.fetched.image.reason if isinstance(one.fetched.image, NotEvaluable) else Reason.INTERNAL
        return not_evaluated(self._asked(one.event, one.revision, _stages(one)), self.model.answering, reason)

    def _asked(self, event: InstanceReceived, revision: int, stage_ms: Mapping[str, float]) -> Asked:
        return Asked(event=event, revision=revision, completed_at=self.clock.utc(), stage_ms=stage_ms)

    def _outgoing(self, message: Message, result: InferenceCompleted) -> Outgoing:
        self.instruments.result(result)
        get_log().info(
            "image answered",
            event_id=str(result.event_id),
            lane=self.lane,
            outcome=result.outcome,
            reason=result.reason,
            latency_ms=round(_milliseconds(result.completed_at - result.received_at), 1),
        )
        return Outgoing(
            topic=COMPLETED,
            key=result.study_pseudonym.encode(),
            value=self.codec.encode(COMPLETED, result),
            headers=onward(message.headers, result.received_at),
        )


def _stages(one: Seen) -> dict[str, float]:
    return {
        "queue": _milliseconds(one.taken_at - one.event.received_at),
        "fetch": one.fetched.fetch_ms,
        "decode": one.fetched.decode_ms,
    }


def _milliseconds(span: timedelta) -> float:
    return span / timedelta(milliseconds=1)
