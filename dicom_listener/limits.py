"""How many associations there may be, of whom, and how fast they may send. Pure: the clock is an argument."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dicom_listener.refusals import AE_LIMIT, LIMIT, SHARE, Refusal

#: Of the limit, this part is kept for senders that hold less than their share.
_KEPT_PART = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Associations at one time (count)."""

    total: int
    per_ae: int | None = None
    verification: int = 0  # beside the total, for associations that propose Verification only


def over_share(held: Mapping[str, int], calling_ae: str, limit: int) -> bool:
    """Say whether one more association would take from `calling_ae`'s neighbours: the limit is near, its share used.

    The last quarter of the limit is for senders that hold less than an equal share; at least two are reckoned with.

    >>> over_share({"PACS": 6}, "PACS", 8), over_share({"PACS": 6}, "CT1", 8), over_share({"PACS": 5}, "PACS", 8)
    (True, False, False)
    """
    if sum(held.values()) < limit - limit // _KEPT_PART:
        return False
    senders = len({*held, calling_ae})
    return held.get(calling_ae, 0) >= max(1, limit // max(2, senders))


class Slots:
    """The associations that there are. Not thread-safe: one arbiter asks."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held: dict[int, str] = {}
        self._verifying: set[int] = set()

    @property
    def open(self) -> int:
        """How many associations there are (count)."""
        return len(self._held) + len(self._verifying)

    def ask(self, association: int, calling_ae: str, *, verification_only: bool) -> Refusal | None:
        """Take a slot, or say why there is none."""
        limits = self._limits
        if verification_only and len(self._verifying) < limits.verification:
            self._verifying.add(association)
            return None
        if len(self._held) >= limits.total:
            return LIMIT
        held = Counter(self._held.values())
        if limits.per_ae is not None and held[calling_ae] >= limits.per_ae:
            return AE_LIMIT
        if over_share(held, calling_ae, limits.total):
            return SHARE
        self._held[association] = calling_ae
        return None

    def over(self, association: int) -> None:
        """Give a slot back; one that was never taken is no error."""
        self._held.pop(association, None)
        self._verifying.discard(association)

    def ae_of(self, association: int) -> str | None:
        """Give the calling AE of an association that may send images."""
        return self._held.get(association)


class TokenBucket:
    """So many tokens a second, a second's worth at once; who takes more waits afterwards. Thread-safe.

    >>> now = 0.0
    >>> bucket = TokenBucket(10.0, clock=lambda: now)
    >>> bucket.take(10), bucket.take(5)
    (0.0, 0.5)
    """

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._per_second = self._tokens = per_second
        self._seen = clock()

    def take(self, tokens: float) -> float:
        """Take tokens, which may be more than there are; give how long to wait before the next (seconds)."""
        with self._lock:
            self._fill()
            self._tokens -= tokens
            return max(0.0, -self._tokens / self._per_second)

    def set_rate(self, per_second: float) -> None:
        """Go on at another rate (tokens a second, above 0)."""
        with self._lock:
            self._fill()
            self._per_second = per_second
            self._tokens = min(self._tokens, per_second)

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._per_second, self._tokens + (now - self._seen) * self._per_second)
        self._seen = now
