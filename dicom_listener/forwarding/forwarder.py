"""From the spool to journal, object store and log: the one code path of every image, fresh or adopted.

Carriers (`carrier.py`) take what is ready, several images at a time when several are ready, never waiting for more.
STAT has carriers of its own. Servers that are away are waited for; the image stays in the spool.
"""

import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial

from dicom_listener import instruments
from dicom_listener.forwarding.carrier import Carrier, Orders, store
from dicom_listener.forwarding.gathering import Gathering
from dicom_listener.forwarding.keeper import Checkpoints, keep
from dicom_listener.forwarding.side_by_side import SideBySide
from dicom_listener.forwarding.spans import Way
from dicom_listener.forwarding.waiting_line import StudyLine
from dicom_listener.forwarding.work import Ticket, Ways, Work
from dicom_listener.forwarding.yielding import TRICKLE
from dicom_listener.standard.header import Header
from radstream.logs import get_log
from radstream.service import Stop
from radstream.spool.aligned import Held
from radstream.spool.entry import Entry
from radstream.spool.names import received_at
from schemas.errors import Fenced, cause_of
from schemas.words import Lane

STORING_THREADS = 4  # of each lane, beside its carriers (count)
LARGEST_BATCH = 64  # images that are carried together (count)
QUEUE_LIMIT = 4096  # entries in memory; the rest stays on the disk until there is room
_REFILL = 512  # entries that are taken from the disk at a time: what a fresh image may have to wait behind
_ASIDE_SECONDS = 60.0
_YIELD_SECONDS = 0.02  # between two looks at whether routine images may pass
_YOUNG = timedelta(seconds=10)


class Forwarder:
    """Forwards entries in the background. `submit` is thread-safe."""

    def __init__(self, ways: Ways, checkpoint_seconds: float, shed_percent: float) -> None:
        """`shed_percent`: how full the disk may be while forwarded files stay until a checkpoint is due."""
        self._ways = ways
        self._checkpoints = Checkpoints(checkpoint_seconds, shed_percent)
        self._guard = threading.Lock()
        self._known: set[str] = set()
        self._aside: dict[str, float] = {}
        self._threads: list[threading.Thread] = []
        self._storing: dict[Lane, SideBySide] = {}
        self._stop = Stop()
        self.gathering = Gathering()
        self._lines = {Lane.STAT: StudyLine(), Lane.ROUTINE: StudyLine(self.gathering.wait)}
        #: Why the service must end: another process has taken this one's place.
        self.failed: Fenced | None = None

    def start(self) -> None:
        """Adopt what the spool holds, then run until `stop`."""
        self._refill()
        loops = [self._keep_loop]
        for lane, take in ((Lane.STAT, self._take_stat), (Lane.ROUTINE, self._take_routine)):
            orders = Orders(
                ways=self._ways,
                stop=self._stop,
                line=self._lines[lane],
                front=threading.Lock(),
                take=take,
                done=self._done,
                set_aside=self._set_aside,
            )
            storing = SideBySide(partial(store, orders))
            self._storing[lane] = storing
            loops += [storing.run] * STORING_THREADS
            carriers = [Carrier(orders, one, storing) for of, one in self._ways.publishers if of is lane]
            loops += [partial(self._carry, carrier) for carrier in carriers]
        self._threads = [threading.Thread(target=loop, name="forwarding", daemon=True) for loop in loops]
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float) -> None:
        """Finish the batch in hand and end; what is left stays in the spool."""
        self._stop.request()
        for storing in self._storing.values():
            storing.end(STORING_THREADS)
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def submit(self, entry: Entry, header: Header, receive_s: float = 0.0, held: Held | None = None) -> Ticket:
        """Forward a fresh entry, whose bytes came in `receive_s`; over the limit it waits on the disk for room.

        `held`: its bytes in memory, ours now. Where somebody waits for the log it is stored at once.
        """
        work = Work(entry, Ticket(), header, held=held)
        with self._guard:
            if len(self._known) >= QUEUE_LIMIT:
                work.let_go()
                return work.ticket
        self._take(work, receive_s)
        return work.ticket

    def _take(self, work: Work, receive_s: float = 0.0) -> None:
        if self._ways.traces.enabled:
            work.way = Way(self._ways.traces.share, receive_s)
        with self._guard:
            if work.entry.name in self._known:
                return
            self._known.add(work.entry.name)
        if work.held is not None:
            ((_, work.storing),) = self._storing[work.entry.note.lane].begin([work])
        self._lines[work.entry.note.lane].put(work)

    def oldest(self) -> datetime | None:
        """Receipt of the image that waits longest of those in hand: older ones are taken from the disk first."""
        with self._guard:
            return min(map(received_at, self._known), default=None)

    def _refill(self, received_before: datetime | None = None) -> None:
        """Take entries from the disk that are not in memory: at the start, and after there were too many.

        `received_before`: the receiver of a younger one is about to submit it, and waits for that ticket.
        """
        now = time.monotonic()
        with self._guard:
            self._aside = {name: due for name, due in self._aside.items() if due > now}
            without = self._known | self._aside.keys()
        for entry in self._ways.spool.entries(_REFILL, without, received_before):
            self._take(Work(entry, Ticket()))

    def _carry(self, carrier: Carrier) -> None:
        try:
            carrier.run()
        except Fenced as error:
            self.failed = error

    def _take_stat(self, seconds: float) -> list[Work]:
        return self._lines[Lane.STAT].batch(LARGEST_BATCH, seconds)

    def _take_routine(self, seconds: float) -> list[Work]:
        """Take routine images when they need not yield to what arrives."""
        yielding, line = self._ways.yielding, self._lines[Lane.ROUTINE]
        if yielding.must_wait(len(self._known) - len(line)):
            self._stop.wait(_YIELD_SECONDS)
            return []
        batch = line.batch(TRICKLE if yielding.is_pressed() else LARGEST_BATCH, seconds)
        if batch:
            yielding.taken()
        return batch

    def _done(self, work: Work) -> None:
        with self._guard:
            self._known.discard(work.entry.name)
            self._aside.pop(work.entry.name, None)
        if work.torn:
            get_log().error("image torn", cause="torn", slot=work.entry.path.parent.name)

    def _set_aside(self, work: Work, error: Exception) -> None:
        """Leave an image in the spool for later: it is durable there."""
        cause = cause_of(error)
        instruments.RETRIES.labels(cause).inc()
        get_log().error("image set aside", cause=cause, seconds=_ASIDE_SECONDS, exc_info=error)
        with self._guard:
            self._known.discard(work.entry.name)
            self._aside[work.entry.name] = time.monotonic() + _ASIDE_SECONDS

    def _keep_loop(self) -> None:
        keep(self._ways.spool, self._refill_if_low, self.oldest, self._checkpoints, self._stop)

    def _refill_if_low(self) -> None:
        if len(self._known) < min(_REFILL, self._ways.spool.depth):
            self._refill(datetime.now(UTC) - _YOUNG)
