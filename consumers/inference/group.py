"""An inference group: from an InstanceReceived to its one InferenceCompleted."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future  # noqa: TC003 - beside its protocol, where readers look
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from consumers.decoding.decoders import Fetched
from consumers.decoding.frames import Decoded
from consumers.imaging.inputs import InputSpec
from consumers.inference.forward import Answer, Engines
from consumers.inference.futures import followed, gathered, settled, tolerated
from consumers.loop.clock import Clock
from consumers.loop.dead_letters import DeadLetters
from consumers.loop.headers import Address, address, onward
from consumers.loop.spans import stage_spans
from consumers.loop.window import InHand
from consumers.meters.instruments import Instruments
from consumers.models.loaded import Assignment, Assignments
from consumers.results.heatmaps import HeatMaps, Wanted, key_of
from consumers.results.outcome import Answering, Asked, evaluated, not_evaluated
from radstream.broker.contract import Message, Outgoing
from radstream.logs import get_log
from radstream.traces import NO_TRACES, Traces
from schemas.codec import Codec
from schemas.errors import BadImage, BadMessage, NotEvaluable, UndecodableMessage
from schemas.identity import result_id
from schemas.inference_completed import InferenceCompleted
from schemas.instance_received import InstanceReceived
from schemas.topics import COMPLETED, SHADOWED
from schemas.words import Lane, Reason, ReviewReason, Role

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


class Pool(Protocol):
    """What the group asks of the decoders."""

    def submit(self, event: InstanceReceived, specs: Sequence[InputSpec]) -> "Future[Fetched]":
        """Queue an image, wanted in these forms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One image on its way through the group: what it is, who answers it, and what became of it."""

    message: Message
    event: InstanceReceived
    asked: Address
    assigned: Sequence[Assignment]
    stages: Mapping[str, float]  # name to milliseconds
    images: Sequence[Decoded] = ()  # for each assignment, in order; none: not evaluated
    answers: Sequence[Answer | None] = ()  # for each assignment, in order; None: a shadow that failed
    heatmaps: Sequence[str | None] = ()  # keys of objects that are stored, for each answer, in order
    reason: Reason = Reason.INTERNAL  # where there are no answers
    doubts: Sequence[ReviewReason] = ()  # likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceGroup:
    """The handler of one lane."""

    name: str
    lane: Lane
    assignments: Assignments
    pool: Pool
    forward: Engines
    heatmaps: HeatMaps
    codec: Codec
    letters: DeadLetters
    instruments: Instruments
    clock: Clock
    traces: Traces = NO_TRACES

    def begin(self, message: Message) -> "Future[Seen | None]":
        """Send an image to the decoders and on to the engine; a replay for another group is passed by."""
        asked = address(message.headers)
        if not asked.concerns(self.name):
            return settled(None)
        event = self._event(message)
        assigned = self.assignments.of(event, asked)
        seen = Seen(
            message=message,
            event=event,
            asked=asked,
            assigned=assigned,
            stages={"queue": _milliseconds(self.clock.utc() - event.received_at)},
        )
        specs = tuple(dict.fromkeys(one.model.spec for one in assigned))
        return followed(self.pool.submit(event, specs), lambda fetched: self._forwarded(seen, specs, fetched))

    def finish(self, done: Sequence[Seen]) -> list[list[Outgoing]]:
        """Make everybody's results, once their heat maps are stored; raises ObjectStoreDown where one is not."""
        return [self._results(one) for one in self._explained(done)]

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
        to = address(item.message.headers)
        asked = self._asked(event, to, stage_ms)
        return [self._outgoing(item.message, not_evaluated(asked, self.assignments.who(event, to), reason)), letter]

    def _event(self, message: Message) -> InstanceReceived:
        event = self.codec.decode(message.value)
        if not isinstance(event, InstanceReceived):
            raise UndecodableMessage(f"a {type(event).__name__} where an InstanceReceived should be")
        return event

    def _forwarded(self, seen: Seen, specs: Sequence[InputSpec], fetched: Fetched) -> "Future[Seen | None]":
        """Send a decoded image to every model that answers it; raises NotEvaluable for what is given up."""
        stages = {**seen.stages, "fetch": fetched.fetch_ms, "decode": fetched.decode_ms}
        if isinstance(fetched.images, NotEvaluable):
            if fetched.images.reason in DEAD:
                raise fetched.images
            return settled(replace(seen, stages=stages, reason=fetched.images.reason, doubts=fetched.images.doubts))
        made = dict(zip(specs, fetched.images, strict=True))
        images = [made[one.model.spec] for one in seen.assigned]
        asked = [self._submitted(one, image) for one, image in zip(seen.assigned, images, strict=True)]
        return followed(
            gathered(asked),
            lambda answers: settled(replace(seen, stages=stages, images=images, answers=answers)),
        )

    def _submitted(self, by: Assignment, image: Decoded) -> "Future[Answer | None]":
        """Send an image to one model; a shadow that fails spoils nothing of what is delivered."""
        return tolerated(self.forward.submit(self.lane, by.model, image.tensor), when=by.role is Role.SHADOW)

    def _explained(self, done: Sequence[Seen]) -> list[Seen]:
        """Store all heat maps that are wanted, together: a result may name only what is there."""
        maps = [[self._heatmap(one, *asked) for asked in zip(one.assigned, one.answers, strict=False)] for one in done]
        begun = self.clock.monotonic()
        self.heatmaps.store([wanted for those in maps for wanted in those if wanted])
        took = 1000 * (self.clock.monotonic() - begun)
        return [
            replace(
                one,
                heatmaps=[wanted.key if wanted else None for wanted in those],
                stages={**one.stages, "heatmap": took} if any(those) else one.stages,
            )
            for one, those in zip(done, maps, strict=True)
        ]

    def _heatmap(self, seen: Seen, by: Assignment, answer: Answer | None) -> Wanted | None:
        evidence = None if answer is None else answer.inference.evidence
        if answer is None or evidence is None:
            return None
        shown = self.heatmaps.class_of(answer.inference.logits[0], by.model.operating, by.role)
        if shown is None:
            return None
        name = result_id(seen.event.event_id, by.model.name, by.model.version, by.role)
        return Wanted(key_of(name, seen.asked.revision), evidence[0], shown)

    def _results(self, one: Seen) -> list[Outgoing]:
        if not one.answers:
            asked = self._asked(one.event, one.asked, one.stages)
            refused = [not_evaluated(asked, by.answering, one.reason, one.doubts) for by in one.assigned]
            return [self._outgoing(one.message, result) for result in refused]
        return [
            self._outgoing(one.message, self._result(one, by.answering, image, answer, key))
            for by, image, answer, key in zip(one.assigned, one.images, one.answers, one.heatmaps, strict=True)
        ]

    def _result(
        self, one: Seen, by: Answering, image: Decoded, answer: Answer | None, heatmap: str | None
    ) -> InferenceCompleted:
        """Make one result; raises NotEvaluable for an answer that is delivered and is no number."""
        if answer is None:
            return not_evaluated(self._asked(one.event, one.asked, one.stages), by, Reason.INTERNAL)
        stages = {**one.stages, "batch": answer.waited_ms, "forward": answer.forward_ms}
        asked = self._asked(one.event, one.asked, stages)
        try:
            return evaluated(asked, by, image, answer.inference, heatmap)
        except NotEvaluable as error:
            if by.role is not Role.SHADOW:
                raise
            return not_evaluated(asked, by, error.reason)

    def _asked(self, event: InstanceReceived, to: Address, stage_ms: Mapping[str, float]) -> Asked:
        return Asked(
            event=event,
            revision=to.revision,
            completed_at=self.clock.utc(),
            stage_ms=stage_ms,
            supersedes=to.supersedes,
        )

    def _outgoing(self, message: Message, result: InferenceCompleted) -> Outgoing:
        self.instruments.result(result)
        stage_spans(self.traces, message, self.name, result)
        get_log().info(
            "image answered",
            event_id=str(result.event_id),
            lane=self.lane,
            model_version=result.model_version,
            role=result.role,
            outcome=result.outcome,
            reason=result.reason,
            latency_ms=round(_milliseconds(result.completed_at - result.received_at), 1),
        )
        begun = self.clock.monotonic()
        topic = SHADOWED if result.role is Role.SHADOW else COMPLETED
        made = Outgoing(
            topic=topic,
            key=result.study_pseudonym.encode(),
            value=self.codec.encode(topic, result),
            headers=onward(message.headers, result.received_at),
        )
        self.instruments.stage("encode", self.lane, self.clock.monotonic() - begun)
        return made


def _milliseconds(span: timedelta) -> float:
    return span / timedelta(milliseconds=1)
