"""Writers side by side: each writes what is ready into the log, in transactions of its own, and lets the answers go.

A transaction takes three round trips and the broker's disk, so with one writer an image waits for the one before it. A
study's images stay in order: they are one writer's at a time.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from dicom_listener import instruments
from dicom_listener.crash_points import Step
from dicom_listener.patience import one_by_one, until_done
from dicom_listener.publisher import Publisher
from dicom_listener.spans import PUBLISH, headers, tell, timed
from dicom_listener.waiting_line import POLL_SECONDS, StudyLine
from dicom_listener.work import Ways, Work
from radstream.service import Stop
from schemas.errors import Fenced, RadStreamError

LARGEST_TRANSACTION = 64  # events that are published together (count)
_HELD_SECONDS = 0.05
#: How long the journal's note of what is in the log waits for the next batch, whose round trip it shares.
_NOTE_SECONDS = 0.05


class Publishing:
    """The last step of forwarding. `put` is thread-safe."""

    def __init__(
        self, ways: Ways, done: Callable[[Work], None], set_aside: Callable[[Work, Exception], None], stop: Stop
    ) -> None:
        """`done` gets each image that the journal knows to be in the log, `set_aside` each that failed unforeseen."""
        self.ways = ways
        self.done = done
        self.set_aside = set_aside
        self.stop = stop
        self.ready = StudyLine()
        self.failed: Fenced | None = None

    def put(self, work: Work) -> None:
        """Take an image that is registered and stored."""
        self.ready.put(work)

    def loops(self) -> list[Callable[[], None]]:
        """Give the loops to run, a thread each."""
        return [partial(self._run, publisher) for publisher in self.ways.publishers]

    def _run(self, publisher: Publisher) -> None:
        try:
            _Writer(self, publisher).run()
        except Fenced as error:
            self.failed = error


class _Writer:
    """One of them: what it holds is its thread's alone."""

    def __init__(self, publishing: Publishing, publisher: Publisher) -> None:
        self._all = publishing
        self._publisher = publisher
        self._held: list[tuple[float, Work]] = []
        self._unnoted: list[Work] = []  # in the log; the journal doesn't know yet

    def run(self) -> None:
        """Write until asked to stop; raise Fenced."""
        with suppress(RadStreamError):  # the first batch tries again, and says so
            self._publisher.prepare()
        while not self._all.stop.requested:
            self._ask_again()
            batch = self._all.ready.batch(LARGEST_TRANSACTION, _NOTE_SECONDS if self._unnoted else POLL_SECONDS)
            try:
                until_done(partial(self._publish, batch) if batch else self._note, self._all.stop)
            except Fenced:
                raise
            except Exception as error:  # noqa: BLE001 - the room's one loop: the images stay in the spool
                one_by_one(self._publish, batch, error, self._all.set_aside)
            finally:
                self._all.ready.done(batch)
        with suppress(RadStreamError):  # then the next start finds them in the log
            self._note()
        self._publisher.close()

    def _ask_again(self) -> None:
        """Put back what another listener had in hand, when its time has come."""
        held, self._held = self._held, []
        for due, work in held:
            if time.monotonic() >= due:
                self._all.ready.put(work)
            else:
                self._held.append((due, work))

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
                tell(self._all.ways.traces, work)
            else:
                self._held.append((time.monotonic() + _HELD_SECONDS, work))
        self._all.ways.crash_points.reach(Step.BEFORE_NOTE)

    def _note(self) -> None:
        self._publisher.note()
        self._noted()

    def _noted(self) -> None:
        """End what the journal knows to be in the log."""
        while self._unnoted:
            self._all.done(self._unnoted.pop())
