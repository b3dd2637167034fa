"""How far each group is behind: messages against the last stable offset, seconds, and Burrow's verdict."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from radstream.broker.group_offsets import COUNTED, Groups, Unread
from radstream.lag.rules import CommitWindow, LagState
from radstream.settings import Settings
from schemas.words import Lane

__all__ = ["GroupLag", "LagState", "LagWatch", "lane_of", "measure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLag:
    """One group and lane, as `radstream lag` prints it."""

    group: str
    lane: str | None  # None for groups that have no lanes
    lag_messages: int
    lag_seconds: float  # age of the first unread record in the log
    oldest_waiting_seconds: float  # since that record's image was received
    state: LagState


class LagWatch:
    """Looks at groups again and again, and judges each by its last looks. One thread uses it."""

    def __init__(self, groups: Groups, looks: int, counted: int = COUNTED) -> None:
        self._groups = groups
        self._looks = looks
        self._counted = counted
        self._windows: dict[str, CommitWindow] = {}

    def look(self, names: Sequence[str], now: float) -> list[GroupLag]:
        """Look at groups at time `now` (seconds, monotonic); raise KafkaDown."""
        members = self._groups.members(names)
        unread = {name: self._groups.unread(name, self._counted) for name in names}
        at = datetime.now(UTC)
        return [self._lag(name, one, members, now, at) for name, one in unread.items()]

    def _lag(self, name: str, unread: Unread, members: Mapping[str, int], now: float, at: datetime) -> GroupLag:
        window = self._windows.setdefault(name, CommitWindow(self._looks))
        window.look(now, unread.committed, unread.lag, members.get(name, 0))
        return GroupLag(
            group=name,
            lane=lane_of(name),
            lag_messages=unread.messages,
            lag_seconds=_age(at, unread.first_written_at),
            oldest_waiting_seconds=_age(at, unread.first_received_at),
            state=window.state(now, unread.lag),
        )


def measure(
    settings: Settings,
    *,
    window_s: float = 2.0,
    samples: int = 3,
    pause: Callable[[float], None] = time.sleep,
) -> list[GroupLag]:
    """Measure every group of ours over a short window (seconds); raise KafkaDown.

    Returns at once when nobody is behind: then there is nothing to judge.
    """
    groups = Groups(settings)
    names = groups.names()
    watch = LagWatch(groups, samples)
    found: list[GroupLag] = []
    for number in range(samples):
        if number:
            pause(window_s / (samples - 1))
        found = watch.look(names, time.monotonic())
        if not any(one.lag_messages for one in found):
            break
    return found


def lane_of(group: str) -> str | None:
    """Read the lane out of a group's name.

    >>> lane_of("inference.chest-pneumonia.stat"), lane_of("sink.postgres")
    ('stat', None)
    """
    last = group.rpartition(".")[2]
    return last if last in set(Lane) else None


def _age(now: datetime, then: datetime | None) -> float:
    return 0.0 if then is None else max(0.0, (now - then).total_seconds())
