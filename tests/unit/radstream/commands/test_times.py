"""Times that people type."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radstream.commands.times import moment, rfc3339

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("30s", timedelta(seconds=30)),
        ("10m", timedelta(minutes=10)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("1.5H", timedelta(minutes=90)),
        (" 10 m ", timedelta(minutes=10)),
    ],
)
def test_how_long_ago(text: str, ago: timedelta) -> None:
    """A number and a unit count back from now."""
    assert moment(text, AT) == AT - ago


@pytest.mark.parametrize(
    "text", ["2026-11-21T09:00:00Z", "2026-11-21T10:00:00+01:00", "2026-11-21T09:00:00", "2026-11-21 09:00"]
)
def test_rfc3339_in_any_zone_is_utc(text: str) -> None:
    """A zone is converted; without one it is UTC."""
    assert moment(text, AT) == datetime(2026, 11, 21, 9, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "10", "10w", "-5m", "2026-13-01", "999999999d"])
def test_anything_else_is_refused_with_a_way_out(text: str) -> None:
    """The message shows the forms that work."""
    with pytest.raises(ValueError, match="10m, 2h, 7d"):
        moment(text, AT)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001 - made UTC below
def test_what_is_printed_can_be_typed(naive: datetime) -> None:
    """`rfc3339` and `moment` are inverse, to the microsecond."""
    at = naive.replace(tzinfo=UTC)

    assert moment(rfc3339(at), AT) == at
