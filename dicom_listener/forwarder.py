"""From the spool to journal, object store and log: the one code path of every image, fresh or adopted.

One thread registers what is ready in the journal, some store objects side by side, and one writes what is ready into
the log: several at a time when several are ready, never waiting for more. STAT goes first at every queue. Servers
that are away are waited for; the image stays in the spool.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from dicom_listener import instruments
from dicom_listener.crash_points import Step
from dicom_listener.header import Header, header_of_file
from dicom_listener.identify import arrival_of, event_of
from dicom_listener.keeper import keep
from dicom_listener.work import Ticket, Ways, Work
from dicom_listener.yielding import TRICKLE
from radstream.logs import get_log
from radstream.service import Stop
from radstream.spool import received_at
from radstream.spool_entry import Entry
from schemas.errors import Fenced, RadStreamError, SchemaMissing, Unavailable
from schemas.identity import Pseudonyms, object_key

STORING_THREADS = 4
LARGEST_TRANSACTION = 64  # images that are registered together, events that are published together (count)
QUEUE_LIMIT = 4096  # entries in memory; the rest stays on the disk until there is room
_REFILL = 512  # entries that are taken from the disk at a time: what a fresh image may have to wait behind
_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 0.1, 2.0
_ASIDE_SECONDS = 60.0
_HELD_SECONDS = 0.05
_POLL_SECONDS = 0.1
_YIELD_SECONDS = 0.02  # between two looks at whether routine images may pass
_YOUNG = timedelta(seconds=10)

_WAITED_FOR = (Unavailable, SchemaMissing)


class Forwarder:
    """Forwards entries in the background. `submit` is thread-safe."""

    def __init__(self, ways: Ways, checkpoint_seconds: float) -> None:
        self._ways = ways
        self._checkpoint_seconds = checkpoint_seconds
        self._keys: Mapping[str, Pseudonyms] = {keys.key_id: keys for keys in ways.pseudonyms}
        self._to_register: queue.PriorityQueue[tuple[int, int, Work]] = queue.PriorityQueue()
        self._to_store: queue.PriorityQueue[tuple[int, int, Work]] = queue.PriorityQueue()
        self._to_publish: queue.PriorityQueue[tuple[int, int, Work]] = queue.PriorityQueue()
        self._guard = threading.Lock()
        self._sequence = 0
        self._known: set[str] = set()
        self._aside: dict[str, float] = {}
        self._held: list[tuple[float, Work]] = []  # of the publishing thread alone
        self._threads: list[threading.Thread] = []
        self._stop = Stop()
        self.failed: Fenced | None = None

    def start(self) -> None:
        """Adopt what the spool holds, then run until `stop`."""
        self._refill()
        loops: list[Callable[[], None]] = [self._register_loop, self._publish_loop, self._keep_loop]
        loops += [self._store_loop] * STORING_THREADS
        self._threads = [threading.Thread(target=loop, name=loop.__name__, daemon=True) for loop in loops]
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float) -> None:
        """Finish the batch in hand and end; what is left stays in the spool."""
        self._stop.request()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._ways.publisher.close()

    def submit(self, entry: Entry, header: Header) -> Ticket:
        """Forward a fresh entry; over the limit it waits on the disk until there is room."""
        ticket = Ticket()
        with self._guard:
            if len(self._known) >= QUEUE_LIMIT:
                return ticket
        self._take(Work(entry, ticket, header))
        return ticket

    def checkpoint(self) -> None:
        """Remove forwarded files now: the disk is filling."""
        self._ways.spool.checkpoint()

    def _take(self, work: Work) -> None:
        with self._guard:
            if work.entry.name in self._known:
                return
            self._known.add(work.entry.name)
        self._put(self._to_register, work)

    def _put(self, where: "queue.PriorityQueue[tuple[int, int, Work]]", work: Work) -> None:
        with self._guard:
            self._sequence += 1
            sequence = self._sequence
        where.put((work.urgency, sequence, work))

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
            batch = self._batch(self._to_register, self._allowed())
            if not batch:
                continue
            self._ways.yielding.taken()
            try:
                batch = [work for work in batch if self._is_whole(work)]
                self._until_done(partial(self._register, batch))
            except Exception as error:  # noqa: BLE001 - the room's one loop: the images stay in the spool
                self._one_by_one(self._register, batch, error)

    def _allowed(self) -> int:
        """Wait until images may be taken; say how many. Routine ones yield to what arrives, STAT never does."""
        yielding, waiting = self._ways.yielding, self._to_register.queue
        while not self._stop.requested and not (waiting and waiting[0][0] == 0):
            if not yielding.must_wait(len(self._known) - len(waiting)):
                return TRICKLE if yielding.is_pressed() else LARGEST_TRANSACTION
            self._stop.wait(_YIELD_SECONDS)
        return LARGEST_TRANSACTION if not yielding.is_pressed() else 1

    def _register(self, batch: Sequence[Work]) -> None:
        """Bring images into the journal; pass on what has to be stored, end what is in the log already."""
        ways = self._ways
        ways.crash_points.reach(Step.BEFORE_JOURNAL)
        for work in batch:
            note = work.entry.note
            work.header = work.header or header_of_file(
                work.entry.path, note.data_set_offset, note.size_bytes, note.transfer_syntax_uid
            )
        rows = ways.journal.register([arrival_of(work.entry.note, work.header) for work in batch if work.header])
        ways.crash_points.reach(Step.AFTER_JOURNAL)
        for work, row in zip(batch, rows, strict=True):
            work.row, work.ticket.event_id = row, row.event_id
            if row.is_published and row.state != "purged":
                self._repeated(work)
            else:
                self._put(self._to_store, work)

    def _is_whole(self, work: Work) -> bool:
        if not work.entry.note.doubted or work.entry.is_whole():
            return True
        self._tear(work)
        return False

    def _store_loop(self) -> None:
        while not self._stop.requested:
            for work in self._batch(self._to_store, 1):
                try:
                    self._until_done(partial(self._store, work))
                except Exception as error:  # noqa: BLE001 - as above
                    self._set_aside(work, error)

    def _until_done(self, step: Callable[[], None]) -> None:
        """Run a step again and again while a server is away."""
        pause = _FIRST_RETRY_SECONDS
        while not self._stop.requested:
            try:
                step()
            except _WAITED_FOR as error:
                instruments.RETRIES.labels(error.cause).inc()
                self._stop.wait(pause)
                pause = min(2 * pause, _LONGEST_RETRY_SECONDS)
            else:
                return

    def _store(self, work: Work) -> None:
        """Bring one image into the object store and pass it on; a purged one's repeat ends here."""
        ways, note, row = self._ways, work.entry.note, work.row
        assert row is not None and work.header is not None  # noqa: S101, PT018 - for the type checker: it is registered
        ways.crash_points.reach(Step.BEFORE_PUT)
        with work.entry.open() as body:
            ways.objects.put(object_key(note.sha256), body, note.size_bytes)
        ways.crash_points.reach(Step.AFTER_PUT)
        if row.is_published:
            ways.journal.stored_again(row.event_id)
            self._repeated(work)
            return
        work.event = event_of(row, note, work.header, self._keys[row.key_id], ways.bucket)
        self._put(self._to_publish, work)

    def _repeated(self, work: Work) -> None:
        instruments.REPEATS.inc()
        self._done(work)

    def _publish_loop(self) -> None:
        with suppress(RadStreamError):  # the first batch tries again, and says so
            self._ways.publisher.prepare()
        while not self._stop.requested:
            self._ask_again()
            batch = self._batch(self._to_publish, LARGEST_TRANSACTION)
            if not batch:
                continue
            try:
                self._until_done(partial(self._publish, batch))
            except Fenced as error:
                self.failed = error
                return
            except Exception as error:  # noqa: BLE001 - as above
                self._one_by_one(self._publish, batch, error)

    def _ask_again(self) -> None:
        """Put back what another listener had in hand, when its time has come."""
        held, self._held = self._held, []
        for due, work in held:
            if time.monotonic() >= due:
                self._put(self._to_publish, work)
            else:
                self._held.append((due, work))

    @staticmethod
    def _batch(where: "queue.PriorityQueue[tuple[int, int, Work]]", most: int) -> list[Work]:
        """Take all that is ready, up to the limit; wait a moment where nothing is."""
        batch: list[Work] = []
        with suppress(queue.Empty):
            batch.append(where.get(timeout=_POLL_SECONDS)[2])
            while len(batch) < most:
                batch.append(where.get_nowait()[2])
        return batch

    def _publish(self, batch: Sequence[Work]) -> None:
        events = {work.event.event_id: work.event for work in batch if work.event}
        answered = {
            work.event.event_id: work.ticket.answered_at for work in batch if work.event and work.ticket.answered_at
        }
        written = self._ways.publisher.publish(events, answered)
        for key in written.new:
            instruments.PUBLISHED.labels(events[key].lane).inc()
        for work in batch:
            if work.event and work.event.event_id in written.in_log:
                self._done(work)
            else:
                self._held.append((time.monotonic() + _HELD_SECONDS, work))

    def _one_by_one(self, step: Callable[[Sequence[Work]], None], batch: Sequence[Work], error: Exception) -> None:
        """Take each alone after a batch failed in a way that nobody foresaw, so that one can't hold up the rest."""
        if len(batch) == 1:
            self._set_aside(batch[0], error)
            return
        for work in batch:
            try:
                step([work])
            except Exception as alone:  # noqa: BLE001 - as above
                self._set_aside(work, alone)

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
        cause = error.cause if isinstance(error, RadStreamError) else "internal"
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
