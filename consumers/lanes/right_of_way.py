"""While a STAT image is in hand, routine starts nothing new: no fetch, no decode, no pass, no transaction."""

import time
from collections.abc import Callable
from typing import Protocol

from schemas.words import Lane

#: The longest that routine stands still for one stretch of STAT images (seconds): several times what one takes.
#: What goes on for longer is a STAT lane under load, or one that waits for a server: then the queues' turns decide.
HOLD_SECONDS = 0.1
#: And after the last one's commit (seconds): the broker answers before it marks the transaction's end and hands the
#: result to its readers, and all that was held back would start beside that.
SEEN_SECONDS = 0.012


class Way(Protocol):
    """What a lane's loop asks and says."""

    def in_hand(self, count: int) -> None:
        """Say how many images the lane has in hand at this moment, waiting for no server."""

    def must_wait(self) -> bool:
        """Ask whether the lane is to start nothing now."""


class FreeWay:
    """A loop that shares with nobody."""

    def in_hand(self, count: int) -> None:
        """Tell nobody."""

    def must_wait(self) -> bool:
        """Never."""
        return False


class RightOfWay:
    """Says how long routine stands still. Any thread.

    >>> now = [0.0]
    >>> way = RightOfWay(lambda: now[0])
    >>> way.of(Lane.STAT).in_hand(1)
    >>> way.held_s(), way.of(Lane.ROUTINE).must_wait(), way.of(Lane.STAT).must_wait()
    (0.1, True, False)
    >>> now[0] = 0.3
    >>> way.held_s()
    0.0
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._is_in_hand = False
        self._until = 0.0  # routine stands still
        self._limit = 0.0  # of the stretch
        self._listeners: list[Callable[[], None]] = []

    def of(self, lane: Lane) -> Way:
        """Give a lane's side of it."""
        return _Stat(self) if lane is Lane.STAT else _Routine(self)

    def held_s(self) -> float:
        """Give the time that routine still stands still; 0: it may go (seconds)."""
        return max(0.0, self._until - self._monotonic())

    def whenever_clear(self, call: Callable[[], None]) -> None:
        """Call whenever no STAT image is in hand any more."""
        self._listeners.append(call)

    def stat_in_hand(self, count: int) -> None:
        """Note how many STAT images are in hand. One that comes while routine still stands still goes on a stretch."""
        if bool(count) == self._is_in_hand:
            return
        self._is_in_hand = bool(count)
        now = self._monotonic()
        if count:
            if now >= self._until:
                self._limit = now + HOLD_SECONDS
            self._until = self._limit
            return
        self._until = min(now + SEEN_SECONDS, self._limit)
        for call in self._listeners:
            call()


class _Stat:
    def __init__(self, way: RightOfWay) -> None:
        self._way = way

    def in_hand(self, count: int) -> None:
        self._way.stat_in_hand(count)

    def must_wait(self) -> bool:
        return False


class _Routine(FreeWay):
    def __init__(self, way: RightOfWay) -> None:
        self._way = way

    def must_wait(self) -> bool:
        return self._way.held_s() > 0
