"""What our loops need of a broker: `kafka_broker` and `memory` beside this keep the same contract.

Readers see committed records only. A partition's offsets ascend, with gaps where transaction markers stand.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol


class Partition(NamedTuple):
    """One partition of a topic."""

    topic: str
    number: int


#: The next offset to read of each partition.
Offsets = Mapping[Partition, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One record as it was read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)
    timestamp: datetime  # UTC, the producer's or the broker's, as the topic says

    @property
    def source(self) -> Partition:
        """The partition that it was read from."""
        return Partition(self.topic, self.partition)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One record to be written; the key chooses the partition (Murmur2) unless one is named."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)
    partition: int | None = None


class GroupReader(Protocol):
    """A member of a consumer group. One thread uses it."""

    def poll(self, limit: int, timeout_s: float) -> list[Message]:
        """Give up to `limit` messages; waits `timeout_s` (seconds) for the first one only.

        Losses of partitions are told (`on_lost`) inside this call and nowhere else.
        Raises OffsetUnknown where the group has no offset, KafkaDown, Fenced.
        """

    def owned(self) -> frozenset[Partition]:
        """Give the partitions that are ours at this moment."""

    def seek(self, offsets: Offsets) -> None:
        """Read these partitions again from these offsets; those that are no longer ours are passed over."""

    def commit(self, offsets: Offsets) -> None:
        """Commit outside of any transaction, and wait for it."""

    def hold(self) -> None:
        """Deliver nothing until `release`; `poll` goes on keeping the membership alive."""

    def release(self) -> None:
        """Deliver again."""

    def lag(self) -> Mapping[Partition, int]:
        """Give the distance of each owned partition's next offset from its last stable offset, as last seen."""

    def close(self) -> None:
        """Leave the group."""


class Writer(Protocol):
    """Writes records outside of transactions."""

    def write(self, records: Sequence[Outgoing]) -> None:
        """Write all and wait until the broker has them (acks=all); raise KafkaDown."""

    def close(self) -> None:
        """Give the connection back."""


class TransactionalWriter(Protocol):
    """Writes under one transactional.id: a second one with the same id fences the first.

    Each call raises Fenced when that happened, TransactionAborted when the transaction can't commit (then `abort`).
    """

    def begin(self) -> None:
        """Open a transaction."""

    def write(self, records: Sequence[Outgoing]) -> None:
        """Write inside the open transaction; nobody who reads committed records sees them yet."""

    def send_offsets(self, offsets: Offsets, reader: GroupReader) -> None:
        """Put the group's next offsets into the transaction, with the group's metadata of this moment."""

    def commit(self) -> None:
        """Make records and offsets visible together, and wait for it."""

    def abort(self) -> None:
        """Make them invisible for ever, and wait for it; raises Fenced where even that fails."""

    def close(self) -> None:
        """Give the connection back."""


class Broker(Protocol):
    """The way to a log."""

    def begin_group(self, group: str, topics: Sequence[str], *, at_end: bool = False) -> bool:
        """Set a group's offsets where it has none, to the log's start or end: a step of deployment.

        Say whether any was set.
        """

    def reader(self, group: str, topics: Sequence[str], on_lost: Callable[[frozenset[Partition]], None]) -> GroupReader:
        """Join a group."""

    def writer(self) -> Writer:
        """Write outside of transactions."""

    def transactional_writer(self, transactional_id: str) -> TransactionalWriter:
        """Fence whoever holds this id, and write in its name."""
