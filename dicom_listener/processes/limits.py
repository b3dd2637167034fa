"""How many associations there may be, and of whom. Pure: the clock is an argument."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from dicom_listener.standard.refusals import AE_LIMIT, LIMIT, SHARE, Refusal

#: So long a sender that was refused is taken to want an association still; modalities try again within it (seconds).
WANTING_SECONDS = 60.0
#: Senders remembered for that (count).
_MOST_WANTING = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Associations at one time (count)."""

    total: int
    per_ae: int | None = None
    reserved: int = 0  # of the total, for senders that have none
    verification: int = 0  # beside the total, for associations that propose Verification only


class Slots:
    """The associations that there are. Not thread-safe: one arbiter asks.

    A sender may have them all while nobody else wants one. One that was refused while it has less than an equal share
    is remembered: whoever has an equal share or more then gets no other, so that what ends is the waiting one's.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._held: dict[int, str] = {}
        self._wanting: dict[str, float] = {}
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
        held = Counter(self._held.values())
        if limits.per_ae is not None and held[calling_ae] >= limits.per_ae:
            return AE_LIMIT
        waiting = self._who_waits(held, calling_ae)
        share = max(1, limits.total // len({*held, *waiting, calling_ae}))
        if len(self._held) >= limits.total:
            if held[calling_ae] < share and len(self._wanting) < _MOST_WANTING:
                self._wanting[calling_ae] = self._clock()
            return LIMIT
        if held[calling_ae] and len(self._held) >= limits.total - limits.reserved:
            return SHARE
        if held[calling_ae] >= share and any(held[other] < share for other in waiting):
            return SHARE
        self._held[association] = calling_ae
        return None

    def over(self, association: int) -> None:
        """Give a slot back; one that was never taken is no error."""
        self._held.pop(association, None)
        self._verifying.discard(association)

    def _who_waits(self, held: Counter[str], calling_ae: str) -> set[str]:
        """Give the other senders that were refused a while ago, and have less than the limit allows one of them."""
        since = self._clock() - WANTING_SECONDS
        self._wanting = {ae: at for ae, at in self._wanting.items() if at > since}
        most = self._limits.per_ae or self._limits.total
        return {ae for ae in self._wanting if ae != calling_ae and held[ae] < most}
