"""Burrow's rules, as pure decisions over a window of samples."""

from datetime import UTC, datetime

import pytest

from radstream.broker import Message
from radstream.group_offsets import received_at
from radstream.lag import LagState, Sample, lane_of, verdict

AT = datetime(2026, 11, 21, tzinfo=UTC)


def samples(*pairs: tuple[int, int], members: int = 1) -> list[Sample]:
    """Make samples of (committed, lag)."""
    return [Sample(committed=committed, lag_messages=lag, members=members) for committed, lag in pairs]


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (samples((5, 0), (5, 0)), LagState.OK),
        (samples((5, 9), (14, 0)), LagState.OK),
        (samples((5, 0), (5, 9)), LagState.OK),  # it was level within the window: new work, not a stall
        (samples((5, 9), (10, 4)), LagState.OK),
        (samples((5, 9), (10, 9)), LagState.WARN),
        (samples((5, 9), (10, 20)), LagState.WARN),
        (samples((5, 9), (5, 9)), LagState.STALL),
        (samples((5, 9), (5, 20)), LagState.STALL),
        (samples((5, 9), (5, 9), members=0), LagState.STOP),
        (samples((5, 9), (3, 11)), LagState.REWIND),
        (samples((5, 9), members=1), LagState.OK),
    ],
)
def test_verdicts(window: list[Sample], expected: LagState) -> None:
    """One row a rule."""
    assert verdict(window) is expected


def test_allowed_lag_is_ok() -> None:
    """A group may be a little behind."""
    assert verdict(samples((5, 3), (5, 3)), allowed=3) is LagState.OK


@pytest.mark.parametrize(
    ("group", "lane"), [("inference.m.stat", "stat"), ("inference.m.routine", "routine"), ("streams", None)]
)
def test_lanes_are_read_from_the_groups_name(group: str, lane: str | None) -> None:
    """`inference.<model>.<lane>`."""
    assert lane_of(group) == lane


@pytest.mark.parametrize("header", [b"", b"yesterday", b"\xff"])
def test_a_record_without_a_readable_receipt_waits_since_it_was_written(header: bytes) -> None:
    """A malformed header can't break the measurement."""
    message = Message(
        topic="t", partition=0, offset=0, key=None, value=None, headers={"event-time": header}, timestamp=AT
    )

    assert received_at(message) == AT
