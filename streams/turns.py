"""Which records were delivered and which handled, partition by partition: what may be committed. Pure."""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)


class Turns(Generic[P]):
    """The records of this assignment, in their partitions' order.

    >>> turns: Turns[str] = Turns()
    >>> for offset in (5, 6, 8):
    ...     turns.deliver("p0", offset)
    >>> turns.is_next("p0", 5), turns.is_next("p0", 8)
    (True, False)
    """

    def __init__(self) -> None:
        self._delivered: dict[P, deque[int]] = {}
        self._handled: dict[P, int] = {}

    def deliver(self, partition: P, offset: int) -> None:
        """Note that a record is on its way to its handler."""
        self._delivered.setdefault(partition, deque()).append(offset)

    def is_next(self, partition: P, offset: int) -> bool:
        """Say whether a record is the next of those delivered; take it. False: one between was skipped."""
        waiting = self._delivered.get(partition)
        return waiting is not None and len(waiting) > 0 and waiting.popleft() == offset

    def handle(self, partition: P, offset: int) -> None:
        """Note that a record, and with it all before it, was handled."""
        self._handled[partition] = offset + 1

    def to_commit(self, partition: P) -> int | None:
        """Give the offset after the last handled record; None where none was handled."""
        return self._handled.get(partition)

    @property
    def partitions(self) -> list[P]:
        """The partitions of which something was handled."""
        return list(self._handled)

    def forget(self) -> None:
        """Begin anew: another assignment reads on from what was committed."""
        self._delivered.clear()
        self._handled.clear()
