"""Who is let in when the spool's disk fills: the two watermarks (promise 1)."""

import threading
import time

from dicom_listener.forwarding.keeper import ROUND_SECONDS
from dicom_listener.receiving.terms import Terms
from radstream.spool.spool import Spool
from schemas.errors import SpoolFull
from schemas.words import Lane

#: The keepers of the other processes look once a round whether the disk is filling.
_OTHERS_SECONDS = 1.5 * ROUND_SECONDS
_IN_VAIN_SECONDS = 5.0
_POLL_SECONDS = 0.1


class Admission:
    """Lets images in, or not. Thread-safe."""

    def __init__(self, spool: Spool, terms: Terms) -> None:
        self._spool = spool
        self._terms = terms
        self._in_vain_until = 0.0  # (monotonic seconds)

    def admit(self, lane: Lane | None) -> None:
        """Raise SpoolFull over the watermarks: over the first for routine images, over the second for all.

        Over the first, forwarded files are removed at once; `lane` None asks about the second alone.
        """
        if self._spool.used_percent() <= self._terms.shed_percent:
            return
        self._spool.checkpoint()
        mark = self._terms.shed_percent if lane is Lane.ROUTINE else self._terms.refuse_percent
        if self._spool.used_percent() > mark and not self._others_make_room(mark):
            used = self._spool.used_percent()
            raise SpoolFull(f"the spool's file system is {used:.0f} % full; see RADSTREAM_SPOOL_SHED_PERCENT")

    def _others_make_room(self, mark: float) -> bool:
        """Wait for the forwarded files of the listener's other processes to go, unless that was in vain just now."""
        now = time.monotonic()
        if self._terms.processes == 1 or now < self._in_vain_until:
            return False
        while self._spool.used_percent() > mark:
            if time.monotonic() > now + _OTHERS_SECONDS:
                self._in_vain_until = time.monotonic() + _IN_VAIN_SECONDS
                return False
            threading.Event().wait(_POLL_SECONDS)
        return True
