"""From the spool to journal, object store and log: the one code path of every image, fresh or adopted.

One thread registers what is ready in the journal, some store objects side by side, and writers write what is ready into
the log (`publishing.py`): several at a time when several are ready, never waiting for more. STAT goes first at every
queue. Servers that are away are waited for; the image stays in the spool.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from dicom_listener import instruments
from dicom_listener.crash_points import Step
from dicom_listener.header import Header, header_of_file
from dicom_listener.identify import arrival_of, event_of
from dicom_listener.keeper import keep
from dicom_listener.patience import one_by_one, until_done
from dicom_listener.publishing import Publishing
from dicom_listener.spans import JOURNAL, PUT, Way, timed
from dicom_listener.waiting_line import WaitingLine
from dicom_listener.work import Ticket, Ways, Work
from dicom_listener.yielding import TRICKLE
from radstream.logs import get_log
from radstream.registration import Registered
from radstream.service import Stop
from radstream.spool_entry import Entry
from radstream.spool_names import received_at
from schemas.errors import Fenced, cause_of
from schemas.identity import Pseudonyms, object_key

STORING_THREADS = 4
LARGEST_TRANSACTION = 64  # images that are registered together (count)
QUEUE_LIMIT = 4096  # entries in memory; the rest stays on the disk until there is room
_REFILL = 512  # entries that are taken from the disk at a time: what a fresh image may have to wait behind
_ASIDE_SECONDS = 60.0
_YIELD_SECONDS = 0.02  # between two looks at whether routine images may pass
_YOUNG = timedelta(seconds=10)


class Forwarder:
    """Forwards entries in the background. `submit` is thread-safe."""

    def __init__(self, ways: Ways, checkpoint_seconds: float) -> None:
        self._ways = ways
        self._checkpoint_seconds = checkpoint_seconds
        self._keys: Mapping[str, Pseudonyms] = {keys.key_id: keys for keys in ways.pseudonyms}
        self._to_register = WaitingLine()
        self._to_store = WaitingLine()
        self._guard = threading.Lock()
        self._known: set[str] = set()
        self._aside: dict[str, float] = {}
        self._threads: list[threading.Thread] = []
        self._stop = Stop()
        self._publishing = Publishing(ways, self._done, self._set_aside, self._stop)

    @property
    def failed(self) -> Fenced | None:
        """Why the service must end: another process has taken this one's place."""
        return self._publishing.failed

    def start(self) -> None:
        """Adopt what the spool holds, then run until `stop`."""
        self._refill()
        loops: list[Callable[[], None]] = [self._register_loop, self._keep_loop]
        loops += [self._store_loop] * STORING_THREADS + self._publishing.loops()
        self._threads = [threading.Thread(target=loop, name="forwarding", daemon=True) for loop in loops]
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float) -> None:
        """Finish the batch in hand and end; what is left stays in the spool."""
        self._stop.request()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def submit(self, entry: Entry, header: Header, receive_s: float = 0.0) -> Ticket:
        """Forward a fresh entry, whose bytes came in `receive_s`; over the limit it waits on the disk for room."""
        ticket = Ticket()
        with self._guard:
            if len(self._known) >= QUEUE_LIMIT:
                return ticket
        self._take(Work(entry, ticket, header), receive_s)
        return ticket

    def checkpoint(self) -> None:
        """Remove forwarded files now: the disk is filling."""
        self._ways.spool.checkpoint()

    def _take(self, work: Work, receive_s: float = 0.0) -> None:
        if self._ways.traces.enabled:
            work.way = Way(self._ways.traces.share, receive_s)
        with self._guard:
            if work.entry.name in self._known:
                return
            self._known.add(work.entry.name)
        self._to_register.put(work)

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

    def _register_loop(self) -> None:
        while not self._stop.requested:
            batch = self._to_register.batch(self._allowed())
            if not batch:
                continue
            self._ways.yielding.taken()
            try:
                batch = [work for work in batch if self._is_whole(work)]
                for work in batch:
                    self._to_store.put(work)
                until_done(partial(self._register, batch), self._stop)
            except Exception as error:  # noqa: BLE001 - the room's one loop: the images stay in the spool
                one_by_one(self._register, batch, error, self._set_aside)

    def _allowed(self) -> int:
        """Wait until images may be taken; say how many. Routine ones yield to what arrives, STAT never does."""
        yielding, waiting = self._ways.yielding, self._to_register
        while not self._stop.requested and not waiting.has_stat:
            if not yielding.must_wait(len(self._known) - len(waiting)):
                return TRICKLE if yielding.is_pressed() else LARGEST_TRANSACTION
            self._stop.wait(_YIELD_SECONDS)
        return LARGEST_TRANSACTION if not yielding.is_pressed() else 1

    def _register(self, batch: Sequence[Work]) -> None:
        """Bring images into the journal while they are being stored."""
        ways = self._ways
        ways.crash_points.reach(Step.BEFORE_JOURNAL)
        for work in batch:
            note = work.entry.note
            work.header = work.header or header_of_file(work.entry.path, *work.entry.data_set, note.transfer_syntax_uid)
        with timed(batch, JOURNAL):
            rows = ways.journal.register([arrival_of(work.entry.note, work.header) for work in batch if work.header])
        ways.crash_points.reach(Step.AFTER_JOURNAL)
        for work, row in zip(batch, rows, strict=True):
            work.row, work.ticket.event_id = row, row.event_id
            self._pass_on(work)

    def _is_whole(self, work: Work) -> bool:
        if not work.entry.note.doubted or work.entry.is_whole():
            return True
        self._tear(work)
        return False

    def _store_loop(self) -> None:
        while not self._stop.requested:
            for work in self._to_store.batch(1):
                try:
                    until_done(partial(self._store, work), self._stop)
                except Exception as error:  # noqa: BLE001 - as above
                    self._set_aside(work, error)

    def _store(self, work: Work) -> None:
        """Bring one image into the object store: its key is its hash, so this needs nothing of the journal."""
        ways, note = self._ways, work.entry.note
        ways.crash_points.reach(Step.BEFORE_PUT)
        if not work.is_repeat:
            with timed([work], PUT), work.entry.open() as body:
                ways.objects.put(object_key(note.sha256), body, note.size_bytes)
        ways.crash_points.reach(Step.AFTER_PUT)
        work.stored = True
        self._pass_on(work)

    def _pass_on(self, work: Work) -> None:
        """Let an image go on once it is both registered and stored: into the log, or, a repeat, out of the spool."""
        with self._guard:
            if work.row is None or not work.stored or work.passed_on:
                return
            work.passed_on = True
        if work.row.is_published:
            until_done(partial(self._repeated, work, work.row), self._stop)
            return
        assert work.header is not None  # noqa: S101 - for the type checker: it was registered with it
        keys = self._keys[work.row.key_id]
        work.event = event_of(work.row, work.entry.note, work.header, keys, self._ways.bucket)
        self._publishing.put(work)

    def _repeated(self, work: Work, row: Registered) -> None:
        if not work.is_repeat:  # purged: its object is there again
            self._ways.journal.stored_again(row.event_id)
        instruments.REPEATS.inc()
        self._done(work)

    def _done(self, work: Work) -> None:
        self._ways.spool.forwarded(work.entry)
        with self._guard:
            self._known.discard(work.entry.name)
            self._aside.pop(work.entry.name, None)
        work.ticket.published.set()

    def _tear(self, work: Work) -> None:
        """Leave an image alone whose fsync had not ended when the machine went down: nobody was told Success."""
        self._ways.spool.torn(work.entry)
        get_log().error("image torn", cause="torn", slot=work.entry.path.parent.name)
        with self._guard:
            self._known.discard(work.entry.name)

    def _set_aside(self, work: Work, error: Exception) -> None:
        """Leave an image in the spool for later: it is durable there."""
        cause = cause_of(error)
        instruments.RETRIES.labels(cause).inc()
        get_log().error("image set aside", cause=cause, seconds=_ASIDE_SECONDS, exc_info=error)
        with self._guard:
            self._known.discard(work.entry.name)
            self._aside[work.entry.name] = time.monotonic() + _ASIDE_SECONDS

    def _keep_loop(self) -> None:
        keep(self._ways.spool, self._refill_if_low, self.oldest, self._checkpoint_seconds, self._stop)

    def _refill_if_low(self) -> None:
        if len(self._known) < min(_REFILL, self._ways.spool.depth):
            self._refill(datetime.now(UTC) - _YOUNG)
