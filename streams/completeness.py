"""Until when everything is counted and merged: worked out from offsets alone. Pure; the clock comes in.

A moment t is complete when
1. the last stable offsets of the input, asked for after t, are all committed by stage A (a commit follows the panes'
   arrival in the log), and then
2. the ends of the panes' topic, asked for after that, are all committed by stage B.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

Offsets: TypeAlias = Mapping[int, int]

#: Moments that may wait to become complete (count); the oldest are let go, which only makes the answer later.
_WAITING = 256


@dataclass(frozen=True, slots=True)
class Observation:
    """What the broker said, asked in this order after `at`."""

    at: datetime
    stable: Offsets  # input: last stable offset of each partition
    counted: Offsets  # input: committed by stage A
    pane_ends: Offsets  # panes: end of each partition
    merged: Offsets  # panes: committed by stage B


class Completeness:
    """Remembers moments until they are complete."""

    def __init__(self) -> None:
        self._uncounted: deque[tuple[datetime, Offsets]] = deque(maxlen=_WAITING)
        self._unmerged: deque[tuple[datetime, Offsets]] = deque(maxlen=_WAITING)
        self._complete_until: datetime | None = None

    def observe(self, seen: Observation) -> datetime | None:
        """Give the newest moment that is complete; None while none is known to be."""
        self._uncounted.append((seen.at, seen.stable))
        counted = _reached(self._uncounted, seen.counted)
        if counted is not None:
            self._unmerged.append((counted, seen.pane_ends))
        self._complete_until = _reached(self._unmerged, seen.merged) or self._complete_until
        return self._complete_until


def _reached(waiting: deque[tuple[datetime, Offsets]], offsets: Offsets) -> datetime | None:
    """Take out the moments whose offsets are reached; give the newest."""
    newest = None
    while waiting and all(offsets.get(partition, 0) >= end for partition, end in waiting[0][1].items()):
        newest = waiting.popleft()[0]
    return newest
