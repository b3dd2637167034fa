"""The messages of one lane that are in hand: taken from the log, not yet committed."""

from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from radstream.broker.contract import Message, Offsets, Partition

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class InHand(Generic[T]):
    """One message and how far it came."""

    message: Message
    first_seen: datetime  # UTC
    attempts: int = 0
    not_before: float = 0.0  # monotonic seconds
    future: Future[T | None] | None = None  # None in between two tries; its value None: nothing is to be done
    given_up: Exception | None = None
    settled: bool = False  # its turn to be handed over has come: it succeeded, or was given up
    source: Partition = field(init=False)

    def __post_init__(self) -> None:
        """Name the partition once: the window asks for it at each turn."""
        self.source = self.message.source


class Window(Generic[T]):
    """Messages in the order of their partitions."""

    def __init__(self) -> None:
        self._items: list[InHand[T]] = []

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: InHand[T]) -> None:
        """Take a message in."""
        self._items.append(item)

    def those(self, condition: Callable[[InHand[T]], bool]) -> list[InHand[T]]:
        """Give the items that fulfil a condition, oldest first."""
        return [item for item in self._items if condition(item)]

    def ready(self, limit: int) -> list[InHand[T]]:
        """Give up to `limit` settled items such that none of their partitions is left with an older one.

        An image that takes long holds up its own partition, not the others.
        """
        blocked: set[Partition] = set()
        found: list[InHand[T]] = []
        for item in self._items:
            if len(found) == limit:
                break
            if item.source in blocked:
                continue
            if item.settled:
                found.append(item)
            else:
                blocked.add(item.source)
        return found

    def remove(self, items: Collection[InHand[T]]) -> None:
        """Let go of items that were committed."""
        gone = set(map(id, items))
        self._items = [item for item in self._items if id(item) not in gone]

    def lose(self, partitions: Collection[Partition]) -> None:
        """Let go of what belongs to another member now."""
        self._items = [item for item in self._items if item.source not in partitions]

    def rewind(self) -> Offsets:
        """Let go of everything, and say where to read again."""
        first: dict[Partition, int] = {}
        for item in self._items:
            first.setdefault(item.source, item.message.offset)
        self._items = []
        return first


def next_offsets(items: Collection[InHand[T]]) -> Offsets:
    """Say where the group goes on when these items are done: the last offset of each partition, and one."""
    after: dict[Partition, int] = {}
    for item in items:
        after[item.source] = max(after.get(item.source, 0), item.message.offset + 1)
    return after
