"""STAT overtakes routine at every queue, and routine never starves (promise 4)."""

import threading
from collections import deque
from collections.abc import Collection
from typing import Generic, TypeVar

from schemas.words import Lane

T = TypeVar("T")

#: Of this many turns in a row one is routine's, when routine waits.
TURNS = 10


class Turns:
    """Whose turn it is. Pure: no clock, no threads.

    >>> turns = Turns()
    >>> [str(turns.next({Lane.STAT, Lane.ROUTINE})) for _ in range(TURNS)].count("routine")
    1
    """

    def __init__(self) -> None:
        self._passed_over = 0

    def next(self, waiting: Collection[Lane]) -> Lane:
        """Choose among the lanes that wait (at least one): STAT, but routine after nine that passed it by."""
        if Lane.STAT in waiting and (Lane.ROUTINE not in waiting or self._passed_over < TURNS - 1):
            self._passed_over += Lane.ROUTINE in waiting
            return Lane.STAT
        self._passed_over = 0
        return Lane.ROUTINE


class LaneQueue(Generic[T]):
    """A queue between threads that hands out by turns. Unbounded: whoever puts holds to the window of its loop."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._waiting: dict[Lane, deque[T]] = {lane: deque() for lane in Lane}
        self._changed = threading.Condition()
        self._closed = False

    def put(self, lane: Lane, item: T) -> None:
        """Add an item to a lane's end."""
        with self._changed:
            self._waiting[lane].append(item)
            self._changed.notify()

    def take(self) -> T | None:
        """Wait for an item; None after `close`."""
        with self._changed:
            while not self._closed:
                if waiting := [lane for lane, items in self._waiting.items() if items]:
                    return self._waiting[self._turns.next(waiting)].popleft()
                self._changed.wait()
            return None

    def waiting(self, lane: Lane) -> int:
        """Say how many items of a lane wait."""
        return len(self._waiting[lane])

    def close(self) -> None:
        """Let every `take` return None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
