"""What `radstream model` says of an assignment."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from radstream.commands.model_rows import FIELDS, rows_of
from schemas.model_deployed import ModelDeployed

AT = datetime(2026, 11, 21, 6, tzinfo=UTC)
FIRST = ModelDeployed(
    deployment_id=UUID(int=1), model="m", revision=1, expected_previous=0, champion="1.0.0", deployed_at=AT,
    effective_from=AT,
)  # fmt: skip


def later(revision: int, **changed: object) -> ModelDeployed:
    """Make a later record."""
    at = AT + timedelta(minutes=revision)
    return replace(FIRST, revision=revision, expected_previous=revision - 1, effective_from=at, **changed)  # type: ignore[arg-type] # a test's own words


def test_a_row_a_version_and_role_with_the_public_fields() -> None:
    """Champion, canary, shadow, and what was withdrawn; the shares of what is shown make one."""
    past = (FIRST, later(2, canary="2.0.0", canary_share=0.2, shadow="3.0.0", withdrawn=["1.5.0"]))

    rows = rows_of(past, lambda version: {"auc": version})

    assert all(tuple(row) == FIELDS for row in rows)
    assert [(row["version"], row["role"], row["share"]) for row in rows] == [
        ("1.0.0", "champion", 0.8), ("2.0.0", "canary", 0.2), ("3.0.0", "shadow", 1.0), ("1.5.0", "withdrawn", 0.0),
    ]  # fmt: skip
    assert {row["metrics"]["auc"] for row in rows} == {"1.0.0", "2.0.0", "3.0.0", "1.5.0"}


def test_a_role_is_counted_since_it_began_without_a_break() -> None:
    """A version that comes back counts from its return; another revision of the rest changes nothing."""
    past = (FIRST, later(2, champion="2.0.0"), later(3), later(4, shadow="3.0.0"))

    (champion, shadow) = rows_of(past, lambda _: None)

    assert (champion["since"], champion["effective_from"]) == (
        "2026-11-21T06:03:00.000000Z",
        "2026-11-21T06:04:00.000000Z",
    )
    assert shadow["since"] == shadow["effective_from"]
