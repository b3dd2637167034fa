"""The rows that commands print: the fields of INTERFACE.md, in its order, as JSON takes them."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from radstream.commands import dlq, drift, lag
from radstream.commands import results as shown
from radstream.lag.lag import GroupLag, LagState
from radstream.reconciliation import IN_FLIGHT, Counted, horizon, reconciled
from radstream.results import Result
from schemas.message_dead_lettered import MessageDeadLettered
from schemas.window_evaluated import WindowEvaluated
from schemas.words import DriftKind

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

WINDOW = WindowEvaluated(
    window_id=UUID(int=1),
    revision=3,
    closed=False,
    model="chest",
    model_version="1.0.0",
    slice="all",
    window_seconds=300,
    window_start=AT,
    window_end=AT + timedelta(minutes=5),
    n=12,
    statistics={"mean_score": 0.5},
    in_control=None,
    kind=DriftKind.APPEARANCE,
)

LETTER = MessageDeadLettered(
    id=UUID(int=2),
    group="inference.chest.stat",
    source_topic="imaging.instance-received.stat",
    partition=1,
    offset=7,
    cause="undecodable",
    attempts=1,
    first_seen=AT,
    original=b"\0",
)

LAG = GroupLag(
    group="inference.chest.stat",
    lane="stat",
    lag_messages=3,
    lag_seconds=1.23456,
    oldest_waiting_seconds=2.0,
    state=LagState.WARN,
)

RESULT = Result(
    result_id=UUID(int=3),
    result_revision=1,
    sop_instance_uid="2.25.1",
    study_instance_uid="2.25.2",
    pseudonymous=True,
    model="chest",
    model_version="1.0.0",
    deployment_revision=1,
    role="champion",
    outcome="evaluated",
    probabilities={"NORMAL": 0.25, "PNEUMONIA": 0.75},
    finding="PNEUMONIA",
    threshold=0.4,
    needs_review=True,
    reason=None,
    lane="stat",
    site="ER",
    received_at=AT,
    completed_at=AT + timedelta(milliseconds=40),
    latency_ms=40.0,
    heatmap=None,
)


def as_printed(row: dict[str, Any]) -> dict[str, Any]:
    """Cross JSON as the command does, without the fallback for odd types."""
    return dict(json.loads(json.dumps(row)))


def test_drift_rows_have_the_fields_of_the_interface() -> None:
    """Names, order and times as INTERFACE.md says."""
    row = as_printed(drift.row_of(WINDOW))

    assert list(row) == [
        "model",
        "model_version",
        "slice",
        "window_seconds",
        "window_start",
        "window_end",
        "closed",
        "n",
        "statistics",
        "in_control",
        "kind",
        "revision",
    ]
    assert row["window_start"] == "2026-11-21T12:00:00.000000Z"
    assert row["kind"] == "appearance"


def test_dead_letters_have_the_fields_of_the_interface() -> None:
    """The original's bytes are not among them."""
    row = as_printed(dlq.row_of(LETTER))

    assert list(row) == ["id", "source_topic", "partition", "offset", "cause", "attempts", "first_seen"]
    assert row["id"] == str(UUID(int=2))


def test_lag_rows_have_the_fields_of_the_interface() -> None:
    """Seconds are rounded to the millisecond, the state is its word."""
    row = as_printed(lag.row_of(LAG))

    assert list(row) == ["group", "lane", "lag_messages", "lag_seconds", "oldest_waiting_seconds", "state"]
    assert (row["lag_seconds"], row["state"]) == (1.235, "WARN")


def test_tables_for_people_say_what_a_result_is_worth() -> None:
    """Probability, the request for review and the reason stand in the table."""
    good = shown.table_row(RESULT)
    bad = shown.table_row(
        replace(RESULT, outcome="not_evaluated", finding=None, probabilities=None, reason="no_pixels")
    )

    assert (good["probability"], good["review"], good["ms"]) == ("0.750", "needs clinical review", "40")
    assert (bad["probability"], bad["reason"]) == (None, "no_pixels")


def test_a_window_is_shown_with_its_own_unit() -> None:
    """Minutes up to an hour, hours above; an open window says so."""
    assert [drift.table_row(replace(WINDOW, window_seconds=s))["window"] for s in (60, 300, 3600, 86400)] == [
        "1 min",
        "5 min",
        "1 h",
        "24 h",
    ]
    assert drift.table_row(WINDOW)["closed"] == "open"


def test_waiting_ends_when_enough_are_there() -> None:
    """Revisions of one result count once, and are shown."""
    other = replace(RESULT, result_id=UUID(int=9))
    revised = replace(RESULT, result_revision=2)
    stream = iter([RESULT, revised, other, replace(RESULT, result_id=UUID(int=10))])

    assert list(shown.counted(stream, 2)) == [RESULT, revised, other]


def test_waiting_ends_at_the_timeout() -> None:
    """The pause between two looks says when the time is over."""
    pause = shown.until(0.3)
    looks = 0
    while pause():
        looks += 1

    assert 1 <= looks <= 3


def test_reconcile_counts_add_up() -> None:
    """Acknowledged = evaluated + not evaluated + waiting + missing, for each calling AE."""
    rows = [("ER", "evaluated", 5, 5), ("ER", "not_evaluated", 2, 2), ("ER", None, 4, 1), ("ICU", "evaluated", 1, 1)]
    counts = [Counted(ae=ae, outcome=how, events=every, due=due, stat_overdue=0) for ae, how, every, due in rows]

    found = reconciled(counts, {"ER": 3, "OPD": 2})

    assert [(one.ae, one.acknowledged, one.waiting, one.missing) for one in found] == [
        ("ER", 14, 6, 1),
        ("ICU", 1, 0, 0),
        ("OPD", 2, 2, 0),
    ]


def test_what_a_group_has_not_read_yet_is_not_missing() -> None:
    """The horizon moves back with the group that is furthest behind; groups beside the path don't count."""
    behind = replace(LAG, lag_seconds=30.0, oldest_waiting_seconds=90.0)
    streams = replace(LAG, group="streams", lane=None, lag_seconds=5000.0)
    nothing = replace(LAG, lag_messages=0, lag_seconds=999.0)

    assert horizon([behind, streams, nothing], AT) == AT - IN_FLIGHT - timedelta(seconds=90)
    assert horizon([], AT) == AT - IN_FLIGHT
