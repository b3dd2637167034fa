"""What becomes of a message whose handling failed: pure decisions, as data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from schemas.errors import RadStreamError

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class RetryLimit:
    """How often and how long a retriable failure is tried before the lane is held."""

    attempts: int = 5  # tries before the lane counts as held (count)
    first_backoff_s: float = 0.05  # wait before the first retry; doubles with each (seconds)
    hold_s: float = 2.0  # wait between tries while the lane is held (seconds)

    def backoff_s(self, attempts: int) -> float:
        """Give the wait before the next try (seconds).

        >>> [RetryLimit().backoff_s(n) for n in (0, 1, 2)]
        [0.05, 0.1, 0.2]
        """
        return min(self.first_backoff_s * 2.0**attempts, self.hold_s)


@dataclass(frozen=True, slots=True)
class Retry:
    """Try the same message again."""

    after_s: float


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Never try it again: the same bytes fail in the same way."""

    cause: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Slow down: the lane stands still, stays a member of its group, and tries again from time to time."""

    seconds: float


Verdict = Retry | DeadLetter | Hold


def decide(error: Exception, attempts: int, limit: RetryLimit) -> Verdict:
    """Say what becomes of a message whose handling failed.

    Pure: the loop applies the verdict. Never `Retry` for an error that is not retriable, and never `DeadLetter` for one
    that is: a server that is away is no fault of the message. An error that we did not foresee is `internal`.

    >>> from schemas.errors import ObjectMissing, ObjectStoreDown
    >>> decide(ObjectMissing("gone"), 0, RetryLimit())
    DeadLetter(cause='object_missing')
    >>> decide(ObjectStoreDown("away"), 1, RetryLimit())
    Retry(after_s=0.1)
    >>> decide(ObjectStoreDown("away"), 5, RetryLimit())
    Hold(seconds=2.0)
    """
    if not isinstance(error, RadStreamError):
        return DeadLetter("internal")
    if not error.retriable:
        return DeadLetter(error.cause)
    if attempts >= limit.attempts:
        return Hold(limit.hold_s)
    return Retry(limit.backoff_s(attempts))


def tried(call: Callable[[], V]) -> V | Exception:
    """Call a handler, and give what it raised as a value for `decide`: the room's one net."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - nothing is swallowed: the loop dead-letters it or tries again
        return error
