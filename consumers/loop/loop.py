"""The one consumer loop of the system. A group is a handler, a publisher and this.

Two kinds of failure, two meanings: Unavailable says "slow down" (the lane stands still and tries again), everything
else says "never retry" (the message is given up, and goes to the dead letters).
"""

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Generic, TypeVar

from consumers.loop.breaker import Breaker
from consumers.loop.handler import Handler, Surroundings
from consumers.loop.publish import Publisher
from consumers.loop.spans import batch_spans
from consumers.loop.starting import patiently
from consumers.loop.verdicts import DeadLetter, Hold, Retry, decide, tried
from consumers.loop.window import InHand, Window, next_offsets
from radstream.broker.contract import Message, Outgoing
from radstream.logs import get_log
from radstream.service import Stop
from schemas.errors import KafkaDown, RadStreamError, TransactionAborted, Unavailable, cause_of

T = TypeVar("T")


class Loop(Generic[T]):
    """Runs one group in one thread."""

    def __init__(
        self, group: str, topics: Sequence[str], handler: Handler[T], publisher: Publisher, around: Surroundings
    ) -> None:
        self._group = group
        self._handler = handler
        self._publisher = publisher
        self._around = around
        self._limits = around.limits
        self._monotonic = around.clock.monotonic
        self._breaker = Breaker(group, around.breakers, around.limits.dead_letters)
        self._window: Window[T] = Window()
        self._wake = threading.Event()
        self._troubled = False
        self._patient = False  # no finished message wakes the loop
        self._not_before = 0.0  # nothing is handed over until then (monotonic seconds)
        self._finish_attempts = 0
        self._ready_since: float | None = None  # when the oldest finished work was (monotonic seconds)
        self._told = 0.0  # when lag and readiness were last told (monotonic seconds)
        self._last_poll = self._monotonic()
        around.health.not_ready("joining the group", group)
        self._reader = around.broker.reader(group, topics, self._window.lose)

    def run(self, stop: Stop) -> None:
        """Go round until asked to stop; raises Fenced and OffsetUnknown, which end the process.

        What is in hand at the end is given back: it was not committed, so the group's next member reads it.
        """
        try:
            self.recall_breaker(stop)
            while not stop.requested:
                self.turn()
        finally:
            self._reader.close()
            self._publisher.close()

    def turn(self) -> None:
        """Go round once.

        1. take messages in
        2. judge what failed
        3. hand over what is ready: finish, publish with the offsets
        4. else wait for work
        """
        self._around.pulse.beat(self._group)
        self._around.instruments.breaker(self._group, is_open=self._breaker.is_open)
        if self._breaker.is_open:
            self._wait_for_resume()
            return
        self._take_in()
        self._judge()
        self._around.way.in_hand(0 if self._troubled else len(self._window))
        if batch := self._due():
            self._hand_over(batch)
        else:
            self._wait()

    def _due(self) -> list[InHand[T]]:
        """Give the finished work whose time to be handed over has come.

        A hand-over costs the same for one message as for many: it waits for a full batch, but no longer than `age_s`,
        or `backlog_age_s` while the window is full, and not at all when nothing else is under way.
        """
        now = self._monotonic()
        free = now >= self._not_before and not self._around.way.must_wait()
        batch = self._window.ready(self._limits.batch) if free else []
        if not batch:
            self._ready_since = None
            return []
        self._ready_since = now if self._ready_since is None else self._ready_since
        whole = len(batch) in {self._limits.batch, len(self._window)}
        longest_s = self._limits.backlog_age_s if self._full else self._limits.age_s
        return batch if whole or now - self._ready_since >= longest_s else []

    @property
    def _full(self) -> bool:
        """Whether more may wait in the log than there is room for."""
        return len(self._window) >= self._limits.window

    def _take_in(self) -> None:
        """Poll for messages, or at least for the membership's sake."""
        room = self._limits.window - len(self._window)
        messages: list[Message] = []
        try:
            if room > 0 and not self._troubled:
                self._reader.release()
                messages = self._poll(room, 0 if len(self._window) else self._limits.idle_poll_s)
            elif self._monotonic() - self._last_poll > self._limits.keep_alive_s:
                self._reader.hold()
                messages = self._poll(1, 0)
        except KafkaDown as error:
            self._trouble(error)
            self._not_before = self._monotonic() + self._limits.retry.hold_s
            self._last_poll = self._monotonic()
        for message in messages:
            item: InHand[T] = InHand(message, self._around.clock.utc())
            self._window.add(item)
            self._start(item)

    def _poll(self, limit: int, timeout_s: float) -> list[Message]:
        self._last_poll = self._monotonic()
        messages = self._reader.poll(limit, timeout_s)
        if self._last_poll - self._told >= self._limits.news_s or not len(self._window):
            self._told = self._last_poll
            self._tell(len(messages))
        return messages

    def _tell(self, taken: int) -> None:
        """Say how far we are."""
        if self._reader.owned() and not self._troubled:
            self._around.health.ready(self._group)
        self._around.instruments.lag(self._group, self._reader.lag(), len(self._window) + taken)

    def _start(self, item: InHand[T]) -> None:
        begun = tried(lambda: self._handler.begin(item.message))
        if isinstance(begun, Exception):
            item.future = Future()
            item.future.set_exception(begun)
        else:
            item.future = begun
            begun.add_done_callback(self._wake_up)

    def _judge(self) -> None:
        """Apply the verdict on each failure, and start again what waited long enough."""
        for item in self._window.those(lambda one: not one.settled):
            if item.future is None and self._monotonic() >= item.not_before:
                self._start(item)
            if item.future is not None and item.future.done():
                error = item.future.exception()
                item.settled = error is None
                if isinstance(error, Exception):
                    self._apply(item, error)

    def _apply(self, item: InHand[T], error: Exception) -> None:
        match decide(error, item.attempts, self._limits.retry):
            case DeadLetter():
                item.given_up, item.settled = error, True
                self._report(error)
            case Retry(after_s=seconds):
                item.future, item.not_before = None, self._monotonic() + seconds
            case Hold(seconds=seconds):
                item.future, item.not_before = None, self._monotonic() + seconds
                self._trouble(error)
        item.attempts += 1

    def _hand_over(self, batch: Sequence[InHand[T]]) -> None:
        """Finish a batch and make it final."""
        self._ready_since = None
        records = self._finished(batch)
        if records is None:
            return
        deaths = [item.given_up is not None for item in batch]
        if self._breaker.would_open(deaths):
            self._open_breaker(next(item.given_up for item in batch if item.given_up is not None))
            return
        started, begun = self._monotonic(), self._around.clock.utc()
        try:
            self._publisher.publish(records, next_offsets(batch), self._reader)
        except (TransactionAborted, KafkaDown) as error:
            self._take_back(error)
            return
        self._breaker.count(deaths)
        self._around.instruments.published(self._group, len(batch), self._monotonic() - started)
        batch_spans(self._around.traces, self._group, batch, records, (begun, self._around.clock.utc()))
        self._window.remove(batch)
        self._around.way.in_hand(len(self._window))
        self._calm()

    def _finished(self, batch: Sequence[InHand[T]]) -> list[Outgoing] | None:
        """Finish a batch; where that fails, each message alone, so that a bad one takes only itself. None: not now."""
        work = [
            (item, value)
            for item in batch
            if item.given_up is None and item.future and (value := item.future.result()) is not None
        ]
        made = tried(lambda: self._handler.finish([value for _, value in work])) if work else []
        if isinstance(made, Unavailable):
            self._slow_down(made)
            return None
        self._finish_attempts = 0
        if isinstance(made, Exception):
            self._report(made)
            if len(work) > 1:
                parts = [self._finished([item]) for item in batch]
                return None if None in parts else [record for part in parts for record in part or ()]
            work[0][0].given_up = made
            made = [()]
        found = dict(zip((id(item) for item, _ in work), made, strict=True))
        for item in batch:
            if item.given_up is not None:
                found[id(item)] = self._handler.give_up(item, item.given_up)
        return [record for item in batch for record in found.get(id(item), ())]

    def _slow_down(self, error: Unavailable) -> None:
        """Leave a finished batch in hand and come back to it."""
        match decide(error, self._finish_attempts, self._limits.retry):
            case Hold(seconds=seconds):
                self._not_before = self._monotonic() + seconds
                self._trouble(error)
            case Retry(after_s=seconds):
                self._not_before = self._monotonic() + seconds
        self._finish_attempts += 1

    def _take_back(self, error: Exception) -> None:
        """Nothing of the batch is visible: read everything in hand again."""
        self._reader.seek(self._window.rewind())
        self._around.instruments.aborted(self._group)
        self._not_before = self._monotonic() + self._limits.abort_pause_s
        self._report(error)

    def _wake_up(self, _done: "Future[T | None]") -> None:
        """Let a turn follow at once, unless nothing but a full batch ends it: each turn looks at the whole window."""
        if not self._patient:
            self._wake.set()

    def _wait(self) -> None:
        if len(self._window):
            self._patient = self._full and self._limits.backlog_age_s > 0
            self._wake.wait(self._limits.backlog_wait_s if self._patient else self._limits.busy_wait_s)
            self._wake.clear()
        elif self._troubled:
            # Nothing is in hand and a poll failed: there is nothing to wait for but time.
            self._wake.wait(self._limits.idle_poll_s)
            self._troubled = self._monotonic() < self._not_before

    def _trouble(self, error: Exception) -> None:
        """Stand still: not ready, and no more messages are taken in."""
        if not self._troubled:
            self._report(error)
        self._troubled = True
        self._around.health.not_ready(f"held: {cause_of(error)}", self._group)

    def _calm(self) -> None:
        if self._troubled:
            self._troubled = False
            self._around.health.ready(self._group)
            get_log().info("group goes on", group=self._group)

    def _report(self, error: Exception) -> None:
        unforeseen = {} if isinstance(error, RadStreamError) else {"exc_info": error}
        get_log().warning("message handling failed", group=self._group, cause=cause_of(error), **unforeseen)

    def recall_breaker(self, stop: Stop) -> None:
        """Ask whether a former process opened the breaker: a restart does not close it."""
        patiently(self._breaker.recall, self._group, self._around.health, stop)
        self._around.health.not_ready("joining the group", self._group)

    def _open_breaker(self, error: Exception) -> None:
        """Reroute nothing more: what is in hand stays in the log, uncommitted."""
        self._reader.seek(self._window.rewind())
        self._breaker.open(cause_of(error))
        get_log().error("breaker opened", group=self._group, cause=cause_of(error), count=self._limits.dead_letters)

    def _wait_for_resume(self) -> None:
        """Stay a member, hand nothing out, look whether a person closed the breaker."""
        self._around.health.not_ready("breaker open: `radstream dlq list`, then `radstream dlq resume`", self._group)
        self._reader.hold()
        for message in self._reader.poll(1, self._limits.idle_poll_s):
            self._reader.seek({message.source: message.offset})
        if self._monotonic() < self._not_before:
            return
        self._not_before = self._monotonic() + self._limits.breaker_poll_s
        with suppress(Unavailable):
            self._breaker.recall()
        if not self._breaker.is_open:
            self._reader.release()
            get_log().info("breaker closed", group=self._group)
