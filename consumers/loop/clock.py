"""Time as an argument: what the core reads instead of the system's clocks."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """The hour, and a stopwatch."""

    utc: Callable[[], datetime] = _utc_now
    monotonic: Callable[[], float] = time.monotonic  # seconds since any moment
