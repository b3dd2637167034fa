"""Burrow's verdict on a consumer group, over a window of its commits. Pure.

Source: github.com/linkedin/Burrow, wiki, "Consumer Lag Evaluation Rules". A partition is judged by how its offset and
its lag moved, not by a threshold: a group that is far behind and gains is well, one that is near and stands is not.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from itertools import pairwise

from radstream.broker.contract import Partition


@unique
class LagState(StrEnum):
    """The verdicts, from good to bad."""

    OK = "OK"
    WARN = "WARN"  # it goes on, and its lag never falls
    REWIND = "REWIND"  # its offset went back
    STALL = "STALL"  # it lives, and its offset stands still
    STOP = "STOP"  # it is silent


@dataclass(frozen=True, slots=True)
class Commit:
    """One partition at one moment at which its group showed that it lives."""

    at: float  # seconds of any clock
    offset: int  # the next one to read
    lag: int  # messages


def judge(commits: Sequence[Commit], lag_now: int, now: float, allowed: int = 0) -> LagState:
    """Judge one partition by its commits, oldest first, and by its lag of this moment (messages).

    1. OK: nothing more than allowed is unread now
    2. STOP: no commit at all, or silence for longer than the window of commits lasts
    3. REWIND: an offset is lower than the one before
    4. OK: the lag was not above the allowed one at some time of the window
    5. STALL: the offset never moved
    6. WARN: the offset moved, and between no two commits did the lag fall
    7. else OK

    >>> at = [Commit(at=float(n), offset=5, lag=3) for n in range(3)]
    >>> str(judge(at, lag_now=3, now=2.0)), str(judge(at, lag_now=3, now=4.5)), str(judge(at, lag_now=0, now=4.5))
    ('STALL', 'STOP', 'OK')
    """
    if lag_now <= allowed:
        return LagState.OK
    if not commits or now - commits[-1].at > commits[-1].at - commits[0].at:
        return LagState.STOP
    steps = list(pairwise(commits))
    was_level = not steps or any(one.lag <= allowed for one in commits)
    rules = (
        (LagState.REWIND, any(after.offset < before.offset for before, after in steps)),
        (LagState.OK, was_level),
        (LagState.STALL, all(after.offset == before.offset for before, after in steps)),
        (LagState.WARN, all(after.lag >= before.lag for before, after in steps)),
    )
    return next((state for state, holds in rules if holds), LagState.OK)


def worst(states: Iterable[LagState]) -> LagState:
    """Give a group's state: that of its worst partition; OK for none.

    >>> str(worst([LagState.OK, LagState.STALL, LagState.WARN]))
    'STALL'
    """
    order = list(LagState)
    return max(states, key=order.index, default=LagState.OK)


class CommitWindow:
    """One group's last looks at the broker, `size` of each partition.

    The broker doesn't tell when a group last committed, and our groups commit only what is new. A member's heartbeat,
    which the broker does tell, stands for its commit: a group without members is the silent one.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._commits: dict[Partition, deque[Commit]] = {}

    def look(self, at: float, offsets: Mapping[Partition, int], lags: Mapping[Partition, int], members: int) -> None:
        """Note a look at time `at` (seconds): the committed offset and the lag of each partition."""
        self._commits = {one: found for one, found in self._commits.items() if one in offsets}
        for one, offset in offsets.items():
            window = self._commits.setdefault(one, deque(maxlen=self._size))
            if members:
                window.append(Commit(at, offset, lags.get(one, 0)))

    def state(self, now: float, lags: Mapping[Partition, int], allowed: int = 0) -> LagState:
        """Judge the group by its worst partition."""
        return worst(judge(list(found), lags.get(one, 0), now, allowed) for one, found in self._commits.items())
