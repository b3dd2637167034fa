"""Times as people type and read them: RFC 3339 in UTC, or how long ago (`10m`, `2h`, `7d`)."""

import re
from datetime import UTC, datetime, timedelta

import typer

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_UNIT = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def now() -> datetime:
    """Read the clock of the commands: UTC."""
    return datetime.now(UTC)


def moment(text: str, at: datetime) -> datetime:
    """Read a time that a person typed; a time without a zone is UTC. Raises ValueError.

    >>> moment("90m", datetime(2026, 1, 1, 12, tzinfo=UTC)).isoformat()
    '2026-01-01T10:30:00+00:00'
    >>> moment("2026-01-01T13:00:00+01:00", datetime(2026, 1, 1, tzinfo=UTC)).isoformat()
    '2026-01-01T12:00:00+00:00'
    """
    ago = _AGO.fullmatch(text.strip().lower())
    try:
        if ago:
            return at - timedelta(**{_UNIT[ago[2]]: float(ago[1])})
        read = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is no time: use 10m, 2h, 7d (ago) or RFC 3339 like 2026-11-21T09:00:00Z") from error
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def typed_moment(text: str | None) -> datetime | None:
    """Read the value of an option; a wrong one is a wrong call (exit status 2)."""
    if text is None:
        return None
    try:
        return moment(text, now())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def rfc3339(at: datetime) -> str:
    """Write a time as RFC 3339 in UTC with microseconds.

    >>> rfc3339(datetime(2026, 1, 1, 12, tzinfo=UTC))
    '2026-01-01T12:00:00.000000Z'
    """
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
