"""Lanes and receipts, as the measurement of lag reads them; its rules stand in test_lag_rules.py."""

from datetime import UTC, datetime

import pytest

from radstream.broker.contract import Message
from radstream.broker.group_offsets import received_at
from radstream.lag.lag import lane_of

AT = datetime(2026, 11, 21, tzinfo=UTC)


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
