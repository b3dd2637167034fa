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
        self._since: float | None = None  # when STAT images last came to an empty hand
        self._free_at = 0.0  # while none is in hand
        self._listeners: list[Callable[[], None]] = []

    def of(self, lane: Lane) -> Way:
        """Give a lane's side of it."""
        return _Stat(self) if lane is Lane.STAT else _Routine(self)

    def held_s(self) -> float:
        """Give the time that routine still stands still; 0: it may go (seconds)."""
        until = self._free_at if self._since is None else self._since + HOLD_SECONDS
        return max(0.0, until - self._monotonic())

    def whenever_clear(self, call: Callable[[], None]) -> None:
        """Call whenever no STAT image is in hand any more."""
        self._listeners.append(call)

    def stat_in_hand(self, count: int) -> None:
        """Note how many STAT images are in hand."""
        if count and self._since is None:
            self._since = self._monotonic()
        elif not count and self._since is not None:
            self._free_at = min(self._monotonic() + SEEN_SECONDS, self._since + HOLD_SECONDS)
            self._since = None
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
