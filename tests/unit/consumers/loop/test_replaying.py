"""A stretch of the log through the live loop: each of its records once, nothing beside it, and then an end."""

import re
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID  # noqa: TC003 - as above

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from consumers.decoding.decoders import Fetched  # noqa: TC001 - as above
from consumers.decoding.expired import KnowingPurges
from consumers.imaging.inputs import InputSpec
from consumers.loop.breaker import MemoryBreakers
from consumers.loop.handler import LoopLimits, Surroundings
from consumers.loop.loop import Loop
from consumers.loop.publish import InTransaction
from consumers.loop.replaying import Aside, Progress, StretchBroker, replay_group
from consumers.meters.instruments import Instruments
from radstream.broker.contract import Outgoing, Partition
from radstream.broker.memory import MemoryBroker
from radstream.broker.stretch import Stretch
from radstream.service import Health, Stop
from schemas.codec import Codec
from schemas.errors import NotEvaluable, ObjectMissing
from schemas.instance_received import InstanceReceived
from schemas.topics import COMPLETED, DEAD_LETTERED, RECEIVED_STAT, REPLAYED
from schemas.words import Reason
from tests.unit.consumers.conftest import Refusing, Script
from tests.unit.consumers.schema_ids import LocalIds
from tests.unit.schemas.samples import SAMPLES

ROOT = Path(__file__).parents[4]
SOURCE = "in"
CODEC = Codec(LocalIds())


class Answers(Script):
    """Answers each message with a result of the sample's kind, whose finding is the message; and with a dead letter."""

    def finish(self, done: Sequence[str]) -> list[list[Outgoing]]:
        self.batches.append(list(done))
        return [
            [
                Outgoing(topic=COMPLETED, key=one.encode(), value=CODEC.encode(COMPLETED, SAMPLES[COMPLETED])),
                Outgoing(topic=DEAD_LETTERED, key=None, value=b"letter"),
            ]
            for one in done
        ]


def replayed(broker: MemoryBroker, stretch: Stretch, aborts: int = 0, stop_after: int | None = None) -> Progress:
    """Run a replay to its end, or break off after some turns as a kill would."""
    broker.groups.setdefault("replay", type(broker.groups["old"])())
    for one, offset in stretch.begin.items():
        broker.groups["replay"].committed.setdefault(one, offset)
    progress, stop = Progress(stretch), Stop()
    around = Surroundings(
        broker=StretchBroker(broker, progress, stop, lambda: None),
        breakers=MemoryBreakers(),
        instruments=Instruments(CollectorRegistry()),
        health=Health(),
        limits=LoopLimits(window=4, batch=2, idle_poll_s=0, busy_wait_s=0, abort_pause_s=0),
    )
    publisher = Aside(Refusing(InTransaction(broker.transactional_writer("replay")), aborts), CODEC, progress)
    loop = Loop("replay", [SOURCE], Answers(), publisher, around)
    if stop_after is None:
        loop.run(stop)
        return progress
    for _ in range(stop_after):
        loop.turn()
    broker.groups["replay"].members.clear()
    return progress


def log(counts: Sequence[int]) -> MemoryBroker:
    """Write so many records into each of two partitions; each is named after its place."""
    broker = MemoryBroker({SOURCE: 2, COMPLETED: 1, REPLAYED: 1, DEAD_LETTERED: 1})
    broker.begin_group("old", [SOURCE])
    for number, count in enumerate(counts):
        records = [
            Outgoing(topic=SOURCE, key=None, value=f"{number}:{n}".encode(), partition=number) for n in range(count)
        ]
        broker.writer().write(records)
    return broker


def keys(broker: MemoryBroker, topic: str) -> list[str]:
    """Read which messages were answered, in order."""
    return [(one.key or b"").decode() for one in broker.read(Partition(topic, 0), 0, 9999)[0]]


@st.composite
def stretches(draw: st.DrawFn) -> tuple[list[int], Stretch]:
    """Draw a log of two partitions and a stretch of it."""
    counts = [draw(st.integers(0, 9)), draw(st.integers(0, 9))]
    begin = {Partition(SOURCE, n): draw(st.integers(0, count)) for n, count in enumerate(counts)}
    end = {
        Partition(SOURCE, n): draw(st.integers(begin[Partition(SOURCE, n)], count)) for n, count in enumerate(counts)
    }
    return counts, Stretch(begin, end)


def expected(stretch: Stretch) -> list[str]:
    """Name the stretch's messages."""
    return sorted(f"{one.number}:{n}" for one, begin in stretch.begin.items() for n in range(begin, stretch.end[one]))


@given(stretches(), st.integers(0, 3), st.integers(0, 12))
def test_each_record_of_the_stretch_is_answered_once_however_often_it_is_killed(
    drawn: tuple[list[int], Stretch], aborts: int, turns: int
) -> None:
    """Aborted batches, a process that ends in the middle, another that goes on: the topic holds each record once."""
    counts, stretch = drawn
    broker = log(counts)

    replayed(broker, stretch, aborts, stop_after=turns)
    replayed(broker, stretch)

    assert sorted(keys(broker, REPLAYED)) == expected(stretch)


def test_nothing_is_written_where_live_results_and_dead_letters_stand() -> None:
    """The live topics stay as they were."""
    broker = log([3, 2])
    stretch = Stretch(
        {Partition(SOURCE, 0): 1, Partition(SOURCE, 1): 0}, {Partition(SOURCE, 0): 2, Partition(SOURCE, 1): 2}
    )

    progress = replayed(broker, stretch)

    assert (progress.results, keys(broker, REPLAYED)) == (3, ["0:1", "1:0", "1:1"])
    assert keys(broker, COMPLETED) == keys(broker, DEAD_LETTERED) == []


def test_no_sink_and_no_stream_reads_replayed_results() -> None:
    """The replay writes the topic and the comparison reads it: nobody else names it."""
    rooms = ("schemas", "radstream", "dicom_listener", "consumers", "streams", "training")
    naming = re.compile(rf"\bREPLAYED\b|{re.escape(REPLAYED)}\"")

    found = {
        str(path.relative_to(ROOT))
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if naming.search(path.read_text())
    }

    assert found == {"schemas/topics.py", "consumers/loop/replaying.py", "radstream/deployments/agreement.py"}


def test_two_calls_with_other_times_are_two_replays() -> None:
    """The group's name holds model, version and times."""
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    names = {
        replay_group("m", "1", first, second),
        replay_group("m", "2", first, second),
        replay_group("m", "1", first, datetime(2026, 1, 3, tzinfo=UTC)),
    }

    assert len(names) == 3


class Missing:
    """Decoders whose object store has nothing."""

    def submit(self, event: InstanceReceived, specs: Sequence[InputSpec]) -> "Future[Fetched]":  # noqa: ARG002
        made: Future[Fetched] = Future()
        made.set_exception(ObjectMissing("gone"))
        return made


def test_a_purged_object_has_expired_and_a_lost_one_is_missing() -> None:
    """The journal tells them apart."""
    event = SAMPLES[RECEIVED_STAT]
    assert isinstance(event, InstanceReceived)
    asked: list[UUID] = []

    expired = KnowingPurges(Missing(), lambda one: bool(asked.append(one)) or True).submit(event, ()).result()

    assert isinstance(expired.images, NotEvaluable)
    assert (expired.images.reason, asked) == (Reason.OBJECT_EXPIRED, [event.event_id])
    with pytest.raises(ObjectMissing):
        KnowingPurges(Missing(), lambda _: False).submit(event, ()).result()
