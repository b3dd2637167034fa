"""STAT overtakes routine at every queue, and routine never starves (promise 4)."""

import threading
from collections import deque
from collections.abc import Collection
from typing import Generic, TypeVar

from consumers.lanes.right_of_way import RightOfWay
from schemas.words import Lane

T = TypeVar("T")

#: Of this many turns in a row one is routine's, when routine waits.
TURNS = 10

#: Whom a thread takes: one that is kept for STAT is free when a STAT image comes, whatever routine does.
EVERYBODY: frozenset[Lane] = frozenset(Lane)
STAT_ALONE: frozenset[Lane] = frozenset({Lane.STAT})


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
        return self.choose(waiting) or Lane.ROUTINE

    def choose(
        self, waiting: Collection[Lane], taken: Collection[Lane] = EVERYBODY, *, held: bool = False
    ) -> Lane | None:
        """Choose among the lanes that wait for who takes only some; None for neither.

        `held`: routine stands still, but for the turn that it is owed after nine that passed it by.
        """
        routine = Lane.ROUTINE in waiting
        takes_routine = routine and Lane.ROUTINE in taken
        owed = takes_routine and self._passed_over >= TURNS - 1
        if Lane.STAT in waiting and Lane.STAT in taken and not owed:
            self._passed_over += routine
            return Lane.STAT
        if takes_routine and (owed or not held):
            self._passed_over = 0
            return Lane.ROUTINE
        return None


class Takers:
    """The threads that wait for work of two lanes, and whom new work wakes. Every call but `clear` holds `lock`."""

    def __init__(self, way: RightOfWay) -> None:
        self.lock = threading.Lock()
        self.closed = False
        self._way = way
        self._for_stat = threading.Condition(self.lock)
        self._for_all = threading.Condition(self.lock)
        self._spare = 0  # threads kept for STAT that wait (count)
        way.whenever_clear(self.clear)

    def lanes(self, taken: frozenset[Lane], stat_waiting: int) -> frozenset[Lane]:
        """Say whom a thread may take now: what those that are kept for STAT can take is left to them."""
        return taken - STAT_ALONE if taken != STAT_ALONE and stat_waiting <= self._spare else taken

    @property
    def held(self) -> bool:
        """Whether routine stands still."""
        return self._way.held_s() > 0

    def wake(self, lane: Lane, waiting: int) -> None:
        """Wake a thread for a lane in which so many wait now."""
        (self._for_stat if lane is Lane.STAT and waiting <= self._spare else self._for_all).notify()

    def wait(self, taken: frozenset[Lane], seconds: float | None = None) -> None:
        """Wait for work, or until routine may go on."""
        if taken == STAT_ALONE:
            self._spare += 1
            self._for_stat.wait(seconds)
            self._spare -= 1
        else:
            held_s = self._way.held_s()
            self._for_all.wait(min(held_s, seconds or held_s) if held_s else seconds)

    def clear(self) -> None:
        """Wake who waited for STAT to pass."""
        with self.lock:
            self._for_all.notify_all()

    def close(self) -> None:
        """Wake everybody for the last time."""
        self.closed = True
        self._for_all.notify_all()
        self._for_stat.notify_all()


class LaneQueue(Generic[T]):
    """A queue between threads that hands out by turns. Unbounded: whoever puts holds to the window of its loop."""

    def __init__(self, way: RightOfWay | None = None) -> None:
        self._turns = Turns()
        self._waiting: dict[Lane, deque[T]] = {lane: deque() for lane in Lane}
        self._takers = Takers(way or RightOfWay())

    def put(self, lane: Lane, item: T) -> None:
        """Add an item to a lane's end."""
        with self._takers.lock:
            self._waiting[lane].append(item)
            self._takers.wake(lane, len(self._waiting[lane]))

    def take(self, taken: frozenset[Lane] = EVERYBODY) -> T | None:
        """Wait for an item of one of these lanes; None after `close`."""
        takers = self._takers
        with takers.lock:
            while not takers.closed:
                waiting = [lane for lane, items in self._waiting.items() if items]
                mine = takers.lanes(taken, len(self._waiting[Lane.STAT]))
                if (lane := self._turns.choose(waiting, mine, held=takers.held)) is not None:
                    return self._waiting[lane].popleft()
                takers.wait(taken)
            return None

    def waiting(self, lane: Lane) -> int:
        """Say how many items of a lane wait."""
        return len(self._waiting[lane])

    def close(self) -> None:
        """Let every `take` return None."""
        with self._takers.lock:
            self._takers.close()
