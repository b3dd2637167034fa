"""Carriers: each takes what is ready of its lane, brings it into journal, object store and log, and takes the next.

One thread does all of it, so nothing is handed on and nothing waits to be: a batch is what came meanwhile. Each lane
has carriers of its own, so STAT never waits for routine. A study's images stay in order: they are one carrier's at a
time.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial

from dicom_listener import instruments
from dicom_listener.crash_points import Step
from dicom_listener.forwarding.identify import arrival_of, event_of
from dicom_listener.forwarding.patience import one_by_one, until_done
from dicom_listener.forwarding.publisher import Publisher
from dicom_listener.forwarding.side_by_side import Job, SideBySide
from dicom_listener.forwarding.spans import JOURNAL, PUBLISH, PUT, headers, tell, timed
from dicom_listener.forwarding.waiting_line import POLL_SECONDS, StudyLine
from dicom_listener.forwarding.work import Ways, Work
from dicom_listener.standard.header import header_of_file
from radstream.service import Stop
from schemas.errors import Fenced, RadStreamError
from schemas.identity import object_key

_HELD_SECONDS = 0.05
#: How long the journal's note of what is in the log waits for the next batch, whose round trip it shares.
_NOTE_SECONDS = 0.05
#: How long a batch that is registered and not stored yet keeps the next from beginning: what comes meanwhile goes
#: together.
_TOGETHER_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What the carriers of a lane are told."""

    ways: Ways
    stop: Stop
    line: StudyLine
    front: threading.Lock  # whose holder alone begins: what comes meanwhile waits to go together
    take: Callable[[float], list[Work]]  # a batch of the line, after so many seconds an empty one
    done: Callable[[Work], None]  # gets each image that the journal knows to be in the log, and each torn one
    set_aside: Callable[[Work, Exception], None]  # gets each image that failed unforeseen


class Carrier:
    """One of them: what it holds is its thread's alone."""

    def __init__(self, orders: Orders, publisher: Publisher, storing: SideBySide) -> None:
        """Carry what `orders` gives; `storing` brings it into the object store (`store`)."""
        self._orders = orders
        self._publisher = publisher
        self._storing = storing
        self._keys = {keys.key_id: keys for keys in orders.ways.pseudonyms}
        self._held: list[tuple[float, Work]] = []  # another listener has them in hand
        self._unnoted: list[Work] = []  # in the log; the journal doesn't know yet

    def run(self) -> None:
        """Carry until asked to stop; raise Fenced."""
        orders = self._orders
        with suppress(RadStreamError):  # the first batch tries again, and says so
            self._publisher.prepare()
        while not orders.stop.requested:
            self._ask_again()
            seconds = _NOTE_SECONDS if self._unnoted else POLL_SECONDS
            if not (orders.front.acquire(timeout=seconds) and self._carry(seconds)):
                self._passed(lambda _: self._note(), [])
        with suppress(RadStreamError):  # then the next start finds them in the log
            self._note()
        self._publisher.close()

    def _carry(self, seconds: float) -> bool:
        """Take a batch and carry it; say whether there was one within so many seconds. Gives `front` back."""
        orders = self._orders
        batch: list[Work] = []
        try:
            try:
                batch = orders.take(seconds)
                registered, jobs = self._begin(batch) if batch else ([], [])
            finally:
                orders.front.release()
            self._end(registered, jobs)
        finally:
            orders.line.done(batch)
        return bool(batch)

    def _begin(self, batch: list[Work]) -> tuple[list[Work], list[Job]]:
        """Bring a batch into the journal while it is being stored; give what is registered, and the storing."""
        if any(work.entry.note.doubted for work in batch):
            batch = [work for work in self._passed(self._check, batch) if not work.torn]
        jobs = [(work, work.storing) for work in batch if work.storing is not None]
        jobs += self._storing.begin([work for work in batch if work.storing is None])
        registered = self._passed(self._register, batch) if batch else []
        self._storing.wait(jobs, _TOGETHER_SECONDS)
        return registered, jobs

    def _end(self, registered: list[Work], jobs: list[Job]) -> None:
        """Publish what is both registered and stored; end what is in the log already."""
        stored = set(self._storing.done(jobs))
        ready = [work for work in registered if work in stored]
        repeats = [work for work in ready if work.event is None]
        new = [work for work in ready if work.event is not None]
        if repeats:
            self._passed(self._repeated, repeats)
        if new:
            self._passed(self._publish, new)

    def _passed(self, step: Callable[[Sequence[Work]], None], batch: list[Work]) -> list[Work]:
        """Do a step for a batch, for each image alone where all together fail; give those for which it was done."""
        orders = self._orders
        try:
            return batch if until_done(partial(step, batch), orders.stop) else []
        except Fenced:
            raise
        except Exception as error:  # noqa: BLE001 - the room's one loop: the images stay in the spool
            return one_by_one(step, batch, error, orders.set_aside)

    def _check(self, batch: Sequence[Work]) -> None:
        """Leave images alone whose fsync had not ended when the machine went down: nobody was told Success."""
        for work in batch:
            if work.entry.note.doubted and not work.torn and not work.entry.is_whole():
                work.torn = True
                self._orders.ways.spool.torn(work.entry)
                self._orders.done(work)

    def _register(self, batch: Sequence[Work]) -> None:
        ways = self._orders.ways
        ways.crash_points.reach(Step.BEFORE_JOURNAL)
        found = []
        for work in batch:
            note = work.entry.note
            header = work.header or header_of_file(work.entry.path, *work.entry.data_set, note.transfer_syntax_uid)
            found.append((work, header))
        with timed(batch, JOURNAL):
            rows = self._publisher.register([arrival_of(work.entry.note, header) for work, header in found])
        self._noted()
        ways.crash_points.reach(Step.AFTER_JOURNAL)
        for (work, header), row in zip(found, rows, strict=True):
            work.row, work.ticket.event_id = row, row.event_id
            if not row.is_published:
                work.event = event_of(row, work.entry.note, header, self._keys[row.key_id], ways.bucket)

    def _repeated(self, batch: Sequence[Work]) -> None:
        for work in batch:
            if work.row and not work.is_repeat:  # purged: its object is there again
                self._orders.ways.journal.stored_again(work.row.event_id)
            instruments.REPEATS.inc()
            self._forwarded(work)

    def _publish(self, batch: Sequence[Work]) -> None:
        """Write a batch into the log and let its answers go; the journal learns of it with the next, or in `_note`."""
        events = {work.event.event_id: work.event for work in batch if work.event}
        answered = {
            work.event.event_id: work.ticket.answered_at for work in batch if work.event and work.ticket.answered_at
        }
        with timed(batch, PUBLISH):
            written = self._publisher.publish(events, answered, headers(batch))
        self._noted()
        for key in written.new:
            instruments.PUBLISHED.labels(events[key].lane).inc()
        for work in batch:
            if work.event and work.event.event_id in written.in_log:
                self._unnoted.append(work)
                work.ticket.published.set()
                tell(self._orders.ways.traces, work)
            else:
                self._held.append((time.monotonic() + _HELD_SECONDS, work))
        self._orders.ways.crash_points.reach(Step.BEFORE_NOTE)

    def _ask_again(self) -> None:
        """Publish what another listener had in hand, when its time has come."""
        now = time.monotonic()
        due = [work for at, work in self._held if at <= now]
        self._held = [(at, work) for at, work in self._held if at > now]
        if due:
            self._passed(self._publish, due)

    def _note(self) -> None:
        self._publisher.note()
        self._noted()

    def _noted(self) -> None:
        """End what the journal knows to be in the log."""
        while self._unnoted:
            self._forwarded(self._unnoted.pop())

    def _forwarded(self, work: Work) -> None:
        self._orders.ways.spool.forwarded(work.entry)
        self._orders.done(work)
        work.ticket.published.set()


def store(orders: Orders, work: Work) -> bool:
    """Bring one image into the object store, unless it is known to be there; say whether it is."""
    ways, note = orders.ways, work.entry.note

    def step() -> None:
        ways.crash_points.reach(Step.BEFORE_PUT)
        if not work.is_repeat:
            with timed([work], PUT), work.entry.open() if work.held is None else nullcontext(work.held.pieces) as body:
                ways.objects.put(object_key(note.sha256), body, note.size_bytes)
        ways.crash_points.reach(Step.AFTER_PUT)

    try:
        return until_done(step, orders.stop)
    except Exception as error:  # noqa: BLE001 - as in the loop: the image stays in the spool
        orders.set_aside(work, error)
        return False
    finally:
        work.let_go()
