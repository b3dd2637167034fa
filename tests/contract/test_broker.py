"""What a broker promises, asked of the one in memory and of Apache Kafka alike."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast
from uuid import uuid4

import pytest
import stamina
from confluent_kafka.admin import NewTopic

from radstream.broker.contract import Broker, GroupReader, Message, Outgoing, Partition
from radstream.broker.kafka import admin
from radstream.broker.kafka_broker import KafkaBroker, KafkaGroupReader
from radstream.broker.memory import MemoryBroker
from schemas.errors import Fenced, KafkaDown, OffsetUnknown, TransactionAborted

PATIENCE_S = 20.0
QUIET_S = 0.5


@dataclass(slots=True)
class Log:
    """A broker with two topics of its own for one test."""

    broker: Broker
    topic: str
    output: str
    readers: list[GroupReader] = field(default_factory=list)
    lost: list[frozenset[Partition]] = field(default_factory=list)

    def name_of(self, group: str) -> str:
        """Make a group's name this test's own."""
        return f"{self.topic}.{group}"

    def leave(self, reader: GroupReader) -> None:
        """Leave a group before the test ends."""
        reader.close()
        self.readers.remove(reader)

    def join(self, group: str, topic: str | None = None) -> GroupReader:
        """Join a group on the first topic."""
        made = self.broker.reader(self.name_of(group), [topic or self.topic], self.lost.append)
        self.readers.append(made)
        return made

    def begun(self, group: str, topic: str | None = None) -> GroupReader:
        """Join a group whose offsets stand at the start."""
        # A new topic's partitions have no leader for a moment: the deployment asks again, too.
        again = stamina.retry(on=KafkaDown, attempts=None, timeout=PATIENCE_S)
        again(self.broker.begin_group)(self.name_of(group), [topic or self.topic])
        return self.join(group, topic)

    def write(self, *values: str, partition: int = 0) -> None:
        """Write values outside of any transaction."""
        self.broker.writer().write([self.record(value, partition=partition) for value in values])

    def record(self, value: str, *, topic: str | None = None, partition: int = 0) -> Outgoing:
        """Make a record."""
        return Outgoing(topic=topic or self.topic, key=b"study", value=value.encode(), partition=partition)


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.stack)])
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    """Give a broker of each kind, with an input of two partitions and an output of one."""
    name = f"contract.{uuid4().hex[:8]}"
    if request.param == "memory":
        made = Log(MemoryBroker({name: 2, f"{name}.out": 1}), name, f"{name}.out")
    else:
        settings = request.getfixturevalue("stack")
        client = admin(settings)
        for created in client.create_topics([NewTopic(name, 2, 1), NewTopic(f"{name}.out", 1, 1)]).values():
            created.result(PATIENCE_S)
        made = Log(KafkaBroker(settings), name, f"{name}.out")
    yield made
    for reader in made.readers:
        reader.close()


def messages_of(reader: GroupReader, count: int) -> list[Message]:
    """Poll until `count` messages came or patience ends."""
    found: list[Message] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count and time.monotonic() < deadline:
        found += reader.poll(100, 0.05)
    return found


def values_of(reader: GroupReader, count: int) -> list[str]:
    """Give the values of the next `count` messages."""
    return [(message.value or b"").decode() for message in messages_of(reader, count)]


def until(condition: Callable[[], bool], *readers: GroupReader) -> bool:
    """Poll until a condition holds or patience ends."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        for reader in readers:
            reader.poll(100, 0.05)
    return condition()


@dataclass(frozen=True, slots=True)
class _Asleep:
    """What a member of a group in Kafka knew of it when it fell asleep."""

    metadata: object

    @property
    def consumer(self) -> "_Asleep":
        return self

    def consumer_group_metadata(self) -> object:
        """Give the generation of then."""
        return self.metadata


def as_it_was(reader: GroupReader) -> GroupReader:
    """Give a member that hears of no rebalance from now on."""
    if not isinstance(reader, KafkaGroupReader):
        return reader  # in memory who does not poll hears of none
    return cast("GroupReader", _Asleep(reader.consumer.consumer_group_metadata()))


def silent(reader: GroupReader) -> bool:
    """Say whether nothing arrives for a moment."""
    deadline = time.monotonic() + QUIET_S
    while time.monotonic() < deadline:
        if reader.poll(100, 0.05):
            return False
    return True


class TestBroker:
    """One class for both."""

    def test_records_of_a_partition_arrive_in_order(self, log: Log) -> None:
        """What was written first is read first."""
        reader = log.begun("g")
        wanted = [str(number) for number in range(50)]

        log.write(*wanted)

        assert values_of(reader, 50) == wanted

    def test_headers_key_and_offset_come_back(self, log: Log) -> None:
        """A message says where it stood and what it carried."""
        reader = log.begun("g")
        record = Outgoing(topic=log.topic, key=b"k", value=b"v", headers={"replay-for": b"g"}, partition=1)

        log.broker.writer().write([record])

        (message,) = messages_of(reader, 1)
        assert (message.key, message.value, message.headers) == (b"k", b"v", {"replay-for": b"g"})
        assert (message.source, message.offset) == (Partition(log.topic, 1), 0)

    def test_a_group_without_offsets_is_refused(self, log: Log) -> None:
        """Reading from nowhere in particular would lose or repeat."""
        log.write("a")
        reader = log.join("new")

        with pytest.raises(OffsetUnknown, match="no offset"):
            values_of(reader, 1)

    def test_begin_group_keeps_what_was_committed(self, log: Log) -> None:
        """A second deployment does not send a group back to the start."""
        reader = log.begun("g")
        log.write("a", "b")
        values_of(reader, 2)
        reader.commit({Partition(log.topic, 0): 1})
        log.leave(reader)

        log.broker.begin_group(log.name_of("g"), [log.topic])

        assert values_of(log.join("g"), 1) == ["b"]

    def test_a_group_may_begin_at_the_end(self, log: Log) -> None:
        """A model that is new reads what comes from now on."""
        log.begun("other")
        log.write("a")

        log.broker.begin_group(log.name_of("g"), [log.topic], at_end=True)
        reader = log.join("g")
        log.write("b")

        assert values_of(reader, 1) == ["b"]

    def test_a_transaction_shows_records_and_offsets_together(self, log: Log) -> None:
        """After the commit the results are readable and the group goes on behind its input."""
        reader, results = log.begun("g"), log.begun("out", log.output)
        log.write("a", "b")
        assert values_of(reader, 2) == ["a", "b"]

        writer = log.broker.transactional_writer(f"g-{uuid4().hex}")
        writer.begin()
        writer.write([log.record("A", topic=log.output), log.record("B", topic=log.output)])
        writer.send_offsets({Partition(log.topic, 0): 2}, reader)
        writer.commit()

        assert values_of(results, 2) == ["A", "B"]
        log.leave(reader)
        log.write("c")
        assert values_of(log.join("g"), 1) == ["c"]

    def test_an_aborted_transaction_is_never_seen(self, log: Log) -> None:
        """Neither its records nor its offsets."""
        reader, results = log.begun("g"), log.begun("out", log.output)
        log.write("a")
        values_of(reader, 1)

        writer = log.broker.transactional_writer(f"g-{uuid4().hex}")
        writer.begin()
        writer.write([log.record("lost", topic=log.output)])
        writer.send_offsets({Partition(log.topic, 0): 1}, reader)
        writer.abort()
        writer.begin()
        writer.write([log.record("seen", topic=log.output)])
        writer.commit()

        assert values_of(results, 1) == ["seen"]
        log.leave(reader)
        assert values_of(log.join("g"), 1) == ["a"]

    def test_what_follows_a_commit_at_once_can_be_aborted(self, log: Log) -> None:
        """The broker may still be ending the transaction before: in one of fifty librdkafka ended for good."""
        results = log.begun("out", log.output)
        writer = log.broker.transactional_writer(f"g-{uuid4().hex}")

        for number in range(150):
            writer.begin()
            writer.write([log.record(f"seen {number}", topic=log.output)])
            writer.commit()
            writer.begin()
            writer.write([log.record("lost", topic=log.output)])
            time.sleep(0.001)
            writer.abort()

        assert values_of(results, 150) == [f"seen {number}" for number in range(150)]

    def test_readers_stop_at_the_first_open_transaction(self, log: Log) -> None:
        """What stands behind the last stable offset waits, even if it was written outside of transactions."""
        results = log.begun("out", log.output)
        writer = log.broker.transactional_writer(f"g-{uuid4().hex}")
        writer.begin()
        writer.write([log.record("inside", topic=log.output)])
        log.broker.writer().write([log.record("behind", topic=log.output)])

        assert silent(results)
        writer.commit()
        assert values_of(results, 2) == ["inside", "behind"]

    def test_seek_reads_again(self, log: Log) -> None:
        """After an abort the batch comes back from its first offset."""
        reader = log.begun("g")
        log.write("a", "b", "c")
        values_of(reader, 3)

        reader.seek({Partition(log.topic, 0): 1})

        assert values_of(reader, 2) == ["b", "c"]

    def test_seek_passes_over_what_is_not_owned(self, log: Log) -> None:
        """A partition that moved away is its new owner's."""
        reader = log.begun("g")
        log.write("a")
        values_of(reader, 1)

        reader.seek({Partition(log.output, 0): 0})

        assert silent(reader)

    def test_a_second_writer_of_the_same_id_fences_the_first(self, log: Log) -> None:
        """A zombie can't commit."""
        name = f"g-{uuid4().hex}"
        zombie = log.broker.transactional_writer(name)
        zombie.begin()
        zombie.write([log.record("zombie")])
        log.broker.transactional_writer(name)

        with pytest.raises(Fenced):
            zombie.commit()

    def test_offsets_of_a_lost_partition_abort_the_transaction(self, log: Log) -> None:
        """A member that slept while a partition moved to another commits nothing for it; awake, it goes on."""
        first, results = log.begun("g"), log.begun("out", log.output)
        log.write("a")
        log.write("a", partition=1)
        assert values_of(first, 2) == ["a", "a"]
        asleep = as_it_was(first)
        second = log.join("g")
        assert until(lambda: len(first.owned()) == 1 and len(second.owned()) == 1, first, second)
        writer = log.broker.transactional_writer(f"g-{uuid4().hex}")

        writer.begin()
        writer.write([log.record("twice", topic=log.output)])
        with pytest.raises(TransactionAborted):
            writer.send_offsets(dict.fromkeys(second.owned(), 1), asleep)
        writer.abort()
        writer.begin()
        writer.write([log.record("once", topic=log.output)])
        writer.send_offsets(dict.fromkeys(first.owned(), 1), first)
        writer.commit()

        assert values_of(results, 1) == ["once"]
        (moved,) = second.owned()
        log.leave(first)
        log.leave(second)
        (again,) = messages_of(log.join("g"), 1)
        assert (again.source, again.offset) == (moved, 0)

    def test_a_rebalance_tells_what_was_lost(self, log: Log) -> None:
        """When another joins, the first is told inside its poll."""
        first = log.begun("g")
        assert until(lambda: len(first.owned()) == 2, first)
        second = log.join("g")

        assert until(lambda: len(first.owned()) == 1 and len(second.owned()) == 1, first, second)
        assert [len(one) for one in log.lost if one] == [1]

    def test_hold_delivers_nothing_and_release_goes_on(self, log: Log) -> None:
        """While a lane is held its reader stays a member and hands nothing out."""
        reader = log.begun("g")
        assert until(lambda: len(reader.owned()) == 2, reader)

        reader.hold()
        log.write("a")

        assert silent(reader)
        reader.release()
        assert values_of(reader, 1) == ["a"]

    def test_lag_ends_at_nought_behind_a_marker(self, log: Log) -> None:
        """A transaction's marker at the log's end is no unread message (keda#5675)."""
        reader = log.begun("g")
        writer = log.broker.transactional_writer(f"g-{uuid4().hex}")
        writer.begin()
        writer.write([log.record("a"), log.record("b", partition=1)])
        writer.commit()

        assert len(values_of(reader, 2)) == 2
        assert until(lambda: set(reader.lag().values()) == {0}, reader)
