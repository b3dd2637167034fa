"""How a replay compares with what was said at the time. The comparison is pure; the reading is below it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from radstream.broker.contract import Message
from radstream.broker.stretch import Stretch, stretch_of
from radstream.broker.topic_reader import read_to_end
from radstream.registry import RegistryIds
from radstream.settings import Settings
from schemas.codec import Codec
from schemas.errors import BadMessage
from schemas.inference_completed import InferenceCompleted
from schemas.instance_received import InstanceReceived
from schemas.topics import COMPLETED, REPLAYED
from schemas.words import Role

T = TypeVar("T")

#: What a result says of an image: outcome, then finding, or the reason why there is none.
Saying = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`n` images have both results; `agreement` is the share that says the same, None for no images."""

    n: int
    agreement: float | None
    changed: int


def compared(live: Mapping[UUID, Saying], replayed: Mapping[UUID, Saying]) -> Comparison:
    """Compare by image what was said with what is said now; an image that has one of the two alone counts for nothing.

    >>> said = {UUID(int=1): ("evaluated", "NORMAL"), UUID(int=2): ("evaluated", "NORMAL")}
    >>> compared(said, said | {UUID(int=2): ("evaluated", "PNEUMONIA"), UUID(int=3): ("evaluated", "NORMAL")})
    Comparison(n=2, agreement=0.5, changed=1)
    """
    both = live.keys() & replayed.keys()
    changed = sum(live[one] != replayed[one] for one in both)
    return Comparison(len(both), (len(both) - changed) / len(both) if both else None, changed)


def compare(settings: Settings, model: str, version: str, stretch: Stretch, begin: datetime) -> Comparison:
    """Compare a stretch's replayed results of a version with the delivered ones of its model; raise KafkaDown.

    `begin` is the stretch's first time: no result of its images was written before.
    """
    codec = Codec(RegistryIds(settings.schema_registry_url))
    events = _events(settings, codec, stretch)

    def is_live(one: InferenceCompleted) -> bool:
        return one.model == model and one.role in {Role.CHAMPION, Role.CANARY}

    def is_replayed(one: InferenceCompleted) -> bool:
        return (one.model, one.model_version) == (model, version)

    return compared(
        _sayings(settings, codec, COMPLETED, begin, lambda one: one.event_id in events and is_live(one)),
        _sayings(settings, codec, REPLAYED, begin, lambda one: one.event_id in events and is_replayed(one)),
    )


def _events(settings: Settings, codec: Codec, stretch: Stretch) -> set[UUID]:
    found: set[UUID] = set()
    for topic in sorted({one.topic for one in stretch.begin}):
        start = {one.number: offset for one, offset in stretch.begin.items() if one.topic == topic}
        for message in read_to_end(settings, topic, start):
            event = _decoded(codec, message, InstanceReceived)
            if event is not None and stretch.holds(message.source, message.offset):
                found.add(event.event_id)
    return found


def _sayings(
    settings: Settings, codec: Codec, topic: str, begin: datetime, wanted: Callable[[InferenceCompleted], bool]
) -> dict[UUID, Saying]:
    """Give each event's newest saying: a revision, or the result that took a recalled one's place, is the later one."""
    start = {one.number: offset for one, offset in stretch_of(settings, [topic], begin, begin).begin.items()}
    newest: dict[UUID, tuple[datetime, Saying]] = {}
    for message in read_to_end(settings, topic, start):
        one = _decoded(codec, message, InferenceCompleted)
        if one is None or not wanted(one):
            continue
        if one.event_id not in newest or newest[one.event_id][0] <= one.completed_at:
            newest[one.event_id] = one.completed_at, (str(one.outcome), one.finding or one.reason)
    return {event: saying for event, (_, saying) in newest.items()}


def _decoded(codec: Codec, message: Message, kind: type[T]) -> T | None:
    try:
        found = codec.decode(message.value)
    except BadMessage:
        return None
    return found if isinstance(found, kind) else None
