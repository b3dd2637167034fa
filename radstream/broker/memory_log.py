"""One partition's log in memory: records, transactions and their markers (KIP-98)."""

from dataclasses import dataclass, field
from enum import Enum, auto

from radstream.broker.contract import Message, Partition


class Fate(Enum):
    """What became of a transaction."""

    OPEN = auto()
    COMMITTED = auto()
    ABORTED = auto()


@dataclass(slots=True, eq=False)
class Transaction:
    """One transaction, and what it touched."""

    fate: Fate = Fate.OPEN
    touched: set[Partition] = field(default_factory=set)
    offsets: dict[tuple[str, Partition], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands at one offset."""

    message: Message | None  # None: a transaction's marker
    transaction: Transaction | None


class PartitionLog:
    """Entries by offset."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, entry: Entry) -> None:
        """Put an entry at the end."""
        self._entries.append(entry)

    def stable_end(self) -> int:
        """Give the last stable offset: where the first open transaction begins, else the log's end."""
        pending = (at for at, one in enumerate(self._entries) if one.transaction and one.transaction.fate is Fate.OPEN)
        return next(pending, len(self._entries))

    def read(self, offset: int, limit: int) -> tuple[list[Message], int]:
        """Give up to `limit` committed messages from `offset`, and the position behind them."""
        found: list[Message] = []
        end = self.stable_end()
        while offset < end and len(found) < limit:
            entry = self._entries[offset]
            offset += 1
            aborted = entry.transaction is not None and entry.transaction.fate is Fate.ABORTED
            if entry.message is not None and not aborted:
                found.append(entry.message)
        return found, offset
