"""The broker's contract in this process: for tests, examples and whoever wants to see the rules in 200 lines.

Transactions leave a marker's gap in the offsets, aborted records stay in the log unseen, and a reader stops at the
first open transaction (the last stable offset), as in Kafka (KIP-98).
"""

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from radstream.broker.contract import GroupReader, Message, Offsets, Outgoing, Partition
from radstream.broker.memory_log import Entry, Fate, PartitionLog, Transaction
from schemas.errors import Fenced, KafkaDown, OffsetUnknown, TransactionAborted


@dataclass(slots=True)
class _Group:
    members: list["MemoryGroupReader"] = field(default_factory=list)
    committed: dict[Partition, int] = field(default_factory=dict)


class MemoryBroker:
    """A log in this process. `clock` gives the records' timestamps (UTC)."""

    def __init__(self, topics: Mapping[str, int], clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.partitions_of = dict(topics)
        self.lock = threading.RLock()
        self.away = False  # set to let every call raise KafkaDown
        self.groups: dict[str, _Group] = {}
        self._clock = clock
        self._logs = {one: PartitionLog() for one in self.partitions(list(topics))}
        self._holders: dict[str, MemoryTransactionalWriter] = {}

    def begin_group(self, group: str, topics: Sequence[str], *, at_end: bool = False) -> bool:
        """Set a group's offsets where it has none, to the log's start or end."""
        with self.lock:
            found = self.groups.setdefault(group, _Group())
            new = [one for one in self.partitions(topics) if one not in found.committed]
            found.committed |= {one: self.stable_end(one) if at_end else 0 for one in new}
        return bool(new)

    def reader(
        self, group: str, topics: Sequence[str], on_lost: Callable[[frozenset[Partition]], None]
    ) -> "MemoryGroupReader":
        """Join a group."""
        with self.lock:
            made = MemoryGroupReader(self, group, topics, on_lost)
            self.groups.setdefault(group, _Group()).members.append(made)
            return made

    def writer(self) -> "MemoryWriter":
        """Write outside of transactions."""
        return MemoryWriter(self)

    def transactional_writer(self, transactional_id: str) -> "MemoryTransactionalWriter":
        """Fence whoever holds this id, and write in its name."""
        with self.lock:
            if (older := self._holders.get(transactional_id)) is not None:
                older.fence()
            self._holders[transactional_id] = made = MemoryTransactionalWriter(self)
            return made

    def partitions(self, topics: Sequence[str]) -> list[Partition]:
        """List the partitions of topics in order."""
        return [Partition(topic, number) for topic in topics for number in range(self.partitions_of[topic])]

    def append(self, record: Outgoing, transaction: Transaction | None = None) -> None:
        """Put one record at its partition's end."""
        with self.lock:
            self.answer()
            one = self._place(record)
            log = self._logs[one]
            message = Message(
                topic=one.topic,
                partition=one.number,
                offset=len(log),
                key=record.key,
                value=record.value,
                headers=dict(record.headers),
                timestamp=self._clock(),
            )
            log.append(Entry(message, transaction))
            if transaction is not None:
                transaction.touched.add(one)

    def end(self, transaction: Transaction, fate: Fate) -> None:
        """Decide an open transaction and write its markers."""
        with self.lock:
            transaction.fate = fate
            for one in transaction.touched:
                self._logs[one].append(Entry(None, None))
            if fate is Fate.COMMITTED:
                for (group, one), offset in transaction.offsets.items():
                    self.groups[group].committed[one] = offset

    def stable_end(self, one: Partition) -> int:
        """Give a partition's last stable offset."""
        return self._logs[one].stable_end()

    def read(self, one: Partition, offset: int, limit: int) -> tuple[list[Message], int]:
        """Give up to `limit` committed messages from `offset`, and the position behind them."""
        return self._logs[one].read(offset, limit)

    def answer(self) -> None:
        """Raise KafkaDown while the broker is away."""
        if self.away:
            raise KafkaDown("the broker in memory was told to be away")

    def _place(self, record: Outgoing) -> Partition:
        count = self.partitions_of[record.topic]
        if record.partition is not None:
            return Partition(record.topic, record.partition)
        return Partition(record.topic, int.from_bytes(hashlib.sha256(record.key or b"").digest()[:4], "big") % count)


class MemoryGroupReader:
    """A member of a consumer group; partitions are dealt out in turn whenever somebody joins or leaves."""

    def __init__(
        self,
        broker: MemoryBroker,
        group: str,
        topics: Sequence[str],
        on_lost: Callable[[frozenset[Partition]], None],
    ) -> None:
        self.group = group
        self._broker = broker
        self._topics = tuple(topics)
        self._on_lost = on_lost
        self._position: dict[Partition, int] = {}
        self._held = False
        self.polls = 0  # a member that stops polling would lose its partitions

    def poll(self, limit: int, timeout_s: float) -> list[Message]:  # noqa: ARG002 - nothing arrives while we wait
        """Give up to `limit` messages; never waits."""
        with self._broker.lock:
            self._broker.answer()
            self.polls += 1
            self._follow_rebalance()
            found: list[Message] = []
            for one in [] if self._held else sorted(self._position):
                more, self._position[one] = self._broker.read(one, self._position[one], limit - len(found))
                found += more
            return found

    def owned(self) -> frozenset[Partition]:
        """Give the partitions that are ours at this moment."""
        return frozenset(self._position)

    def seek(self, offsets: Offsets) -> None:
        """Read these partitions again from these offsets; those that are no longer ours are passed over."""
        self._position |= {one: offset for one, offset in offsets.items() if one in self._position}

    def commit(self, offsets: Offsets) -> None:
        """Commit outside of any transaction."""
        with self._broker.lock:
            self._broker.answer()
            self._broker.groups[self.group].committed |= offsets

    def hold(self) -> None:
        """Deliver nothing until `release`."""
        self._held = True

    def release(self) -> None:
        """Deliver again."""
        self._held = False

    def lag(self) -> Mapping[Partition, int]:
        """Give the distance of each owned partition's next offset from its last stable offset."""
        with self._broker.lock:
            return {one: self._broker.stable_end(one) - position for one, position in self._position.items()}

    def close(self) -> None:
        """Leave the group."""
        with self._broker.lock:
            self._broker.groups[self.group].members.remove(self)
            self._position.clear()

    def dealt(self) -> frozenset[Partition]:
        """Give what this member should own by now."""
        members = self._broker.groups[self.group].members
        if self not in members:
            return frozenset()
        return frozenset(self._broker.partitions(self._topics)[members.index(self) :: len(members)])

    def _follow_rebalance(self) -> None:
        dealt = self.dealt()
        if lost := self.owned() - dealt:
            for one in lost:
                del self._position[one]
            self._on_lost(lost)
        committed = self._broker.groups[self.group].committed
        for one in dealt - self.owned():
            if one not in committed:
                raise OffsetUnknown(f"{self.group} has no offset on {one.topic}[{one.number}]")
            self._position[one] = committed[one]


class MemoryWriter:
    """Writes outside of transactions."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def write(self, records: Sequence[Outgoing]) -> None:
        """Write all."""
        for record in records:
            self._broker.append(record)

    def close(self) -> None:
        """Do nothing: there is no connection."""


class MemoryTransactionalWriter:
    """Writes under one transactional.id."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._open: Transaction | None = None
        self._fenced = False

    def begin(self) -> None:
        """Open a transaction."""
        self._refuse_when_fenced()
        self._open = Transaction()

    def write(self, records: Sequence[Outgoing]) -> None:
        """Write inside the open transaction."""
        transaction = self._current()
        for record in records:
            self._broker.append(record, transaction)

    def send_offsets(self, offsets: Offsets, reader: GroupReader) -> None:
        """Put the group's next offsets into the transaction.

        Who is no member can't, nor who has not heard that a partition is another's: a stale generation in Kafka.
        """
        if not isinstance(reader, MemoryGroupReader):
            raise TypeError(f"offsets of a {type(reader).__name__} can't go into a transaction in memory")
        transaction = self._current()
        if not offsets.keys() <= reader.dealt():
            raise TransactionAborted(f"{reader.group} has given these partitions to another member")
        transaction.offsets |= {(reader.group, one): offset for one, offset in offsets.items()}

    def commit(self) -> None:
        """Make records and offsets visible together."""
        self._end(Fate.COMMITTED)

    def abort(self) -> None:
        """Make them invisible for ever."""
        self._end(Fate.ABORTED)

    def fence(self) -> None:
        """Take the id away: what is open is aborted."""
        if self._open is not None:
            self._end(Fate.ABORTED)
        self._fenced = True

    def close(self) -> None:
        """Abort what is open."""
        if self._open is not None and not self._fenced:
            self._end(Fate.ABORTED)

    def _current(self) -> Transaction:
        self._refuse_when_fenced()
        self._broker.answer()
        if self._open is None:
            raise TransactionAborted("no transaction is open")
        return self._open

    def _end(self, fate: Fate) -> None:
        self._broker.end(self._current(), fate)
        self._open = None

    def _refuse_when_fenced(self) -> None:
        if self._fenced:
            raise Fenced("another writer has taken this transactional.id")
