"""How far each group is behind: messages against the last stable offset, seconds, and Burrow's verdict."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum, unique
from itertools import pairwise

from radstream.group_offsets import Groups
from radstream.settings import Settings
from schemas.words import Lane


@unique
class LagState(StrEnum):
    """Burrow's verdicts on a group (github.com/linkedin/Burrow, "Consumer Lag Evaluation Rules")."""

    OK = "OK"
    WARN = "WARN"
    STALL = "STALL"
    STOP = "STOP"
    REWIND = "REWIND"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLag:
    """One group and lane, as `radstream lag` prints it."""

    group: str
    lane: str | None  # None for groups that have no lanes
    lag_messages: int
    lag_seconds: float  # age of the first unread record in the log
    oldest_waiting_seconds: float  # since that record's image was received
    state: LagState


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A group at one moment."""

    committed: int  # sum of the partitions' next offsets
    lag_messages: int
    members: int  # who could commit; a group without members is silent


def verdict(samples: Sequence[Sample], allowed: int = 0) -> LagState:
    """Judge a group by a window of samples, oldest first. Pure.

    The broker doesn't tell when a group last committed: a group without a member is the silent one (STOP).

    >>> behind = Sample(committed=5, lag_messages=3, members=1)
    >>> str(verdict([behind, behind]))
    'STALL'
    """
    if any(one.lag_messages <= allowed for one in samples):
        return LagState.OK
    steps = [after.committed - before.committed for before, after in pairwise(samples)]
    if any(step < 0 for step in steps):
        return LagState.REWIND
    if not any(one.members for one in samples):
        return LagState.STOP
    if steps and not any(steps):
        return LagState.STALL
    if steps and all(after.lag_messages >= before.lag_messages for before, after in pairwise(samples)):
        return LagState.WARN
    return LagState.OK


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
    seen: dict[str, list[Sample]] = {name: [] for name in names}
    for number in range(samples):
        if number:
            pause(window_s / (samples - 1))
        members = groups.members(names)
        unread = {name: groups.unread(name) for name in names}
        for name, found in unread.items():
            seen[name].append(
                Sample(committed=found.committed, lag_messages=found.messages, members=members.get(name, 0))
            )
        if not any(found.messages for found in unread.values()):
            break
    now = datetime.now(UTC)
    return [
        GroupLag(
            group=name,
            lane=lane_of(name),
            lag_messages=unread[name].messages,
            lag_seconds=_age(now, unread[name].first_written_at),
            oldest_waiting_seconds=_age(now, unread[name].first_received_at),
            state=verdict(seen[name]),
        )
        for name in names
    ]


def lane_of(group: str) -> str | None:
    """Read the lane out of a group's name.

    >>> lane_of("inference.chest-pneumonia.stat"), lane_of("sink.postgres")
    ('stat', None)
    """
    last = group.rpartition(".")[2]
    return last if last in set(Lane) else None


def _age(now: datetime, then: datetime | None) -> float:
    return 0.0 if then is None else max(0.0, (now - then).total_seconds())
