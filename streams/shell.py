"""What happens to each record: decode, let the pure core decide, send what it says, note that it was handled.

A record that can't be used goes to the dead letters by our own hand: Faust would acknowledge and forget it.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import faust
from faust.types import EventT, Message, TableT

from radstream.journal.vault import Vault
from radstream.logs import get_log
from radstream.service import Health
from schemas.codec import Codec
from schemas.errors import BadMessage, Unavailable, UndecodableMessage
from schemas.identity import dead_letter_id
from schemas.inference_completed import InferenceCompleted
from schemas.message_dead_lettered import MessageDeadLettered
from schemas.pane_updated import PaneUpdated
from schemas.tick import Tick
from schemas.topics import COMPLETED, DEAD_LETTERED, PANE_UPDATED, STREAMS_APP, WINDOW_EVALUATED
from schemas.window_evaluated import WindowEvaluated
from streams import metrics
from streams.panes import REVISABLE, PaneBook
from streams.references import References
from streams.store import PartitionStore
from streams.transport import RecordsSkipped
from streams.window_book import WindowBook

if TYPE_CHECKING:
    from streams.transport import CommittedConsumer

#: Between two tries of a server that is away (seconds).
_RETRY_SECONDS = 1.0
#: Results that are counted between two flushes at most (count).
_FLUSH_RESULTS = 500
#: So many unforeseen failures in a row are no bad records but a bad deployment: the worker ends (count).
_FAILURES_IN_A_ROW = 20
_REPLAY_FOR = "replay-for"


class Shell:
    """The handlers of one worker, and the books of the partitions that it owns."""

    def __init__(self, app: faust.App, codec: Codec, references: References, vault: Vault, health: Health) -> None:
        self._app = app
        self._codec = codec
        self._references = references
        self._vault = vault
        self._health = health
        self._panes: dict[int, PaneBook] = {}
        self._windows: dict[int, WindowBook] = {}
        self._unflushed: dict[int, Message] = {}
        self._results = 0
        self._failures = 0
        self.panes_table: TableT[bytes, bytes]
        self.windows_table: TableT[bytes, bytes]

    async def forget(self) -> None:
        """Let go of what was read from the tables: they were recovered, perhaps with other partitions."""
        self._panes.clear()
        self._windows.clear()
        self._unflushed.clear()

    async def on_result(self, event: EventT[bytes]) -> None:
        """Count a result; the panes that it is in are sent at the next flush."""
        await self._handle(event, InferenceCompleted, self._count)

    async def on_pane(self, event: EventT[bytes]) -> None:
        """Keep a pane."""
        await self._handle(event, PaneUpdated, self._merge)

    async def on_tick(self, event: EventT[bytes]) -> None:
        """State the windows that changed or close, and let go of what is old."""
        await self._handle(event, Tick, self._evaluate)

    def send(self, topic: str, key: str, record: object, partition: int | None = None) -> None:
        """Hand a record to the producer; it is in the log before the offset of what caused it is committed."""
        value = self._codec.encode(topic, record)
        self._app.topic(topic).send_soon(key=key.encode(), value=value, partition=partition)

    def flush(self) -> None:
        """Keep and send the panes that results were counted in since the last flush, whole.

        1. not while partitions move: what is unflushed then is read again
        2. store and send each pane once, however many results it took
        3. only then are the results handled
        """
        if self._app.rebalancing:
            return
        for partition, message in self._unflushed.items():
            for pane in self._panes[partition].flush() if partition in self._panes else ():
                self.send(PANE_UPDATED, _slice_key(pane), pane)
            self._consumer.handled(message)
        self._unflushed.clear()
        self._results = 0

    @property
    def _consumer(self) -> "CommittedConsumer":
        return cast("CommittedConsumer", self._app.consumer)

    async def _handle(self, event: EventT[bytes], kind: type, handle: Callable[[Any, EventT[bytes]], None]) -> None:
        """Handle one record.

        1. decode it, waiting while the registry is away
        2. wait while partitions move, and leave it if its own was read anew meanwhile
        3. read the references that it needs, where they were not read yet, and go back to 2
        4. end the worker if a record before it was skipped
        5. handle it, unless it is replayed for another group; what can't be handled is dead-lettered
        6. note it as handled

        Nothing is awaited between 2 and 6, so a record is handled whole or not at all.
        """
        record = await self._decoded(event, kind)
        while await self._consumer.is_ours(event.message):
            unread = self._unread(record, event.message.partition)
            if not unread:
                break
            await self._read_references(unread)
        else:
            return
        if not self._consumer.in_turn(event.message):
            get_log().error("records skipped", topic=event.message.topic, offset=event.message.offset)
            await self._app.crash(RecordsSkipped(f"before offset {event.message.offset} of {event.message.topic}"))
            return
        try:
            if isinstance(record, BadMessage):
                self._dead_letter(event, record.cause)
            elif not _is_for_others(event):
                handle(record, event)
            self._failures = 0
        except Exception as error:  # noqa: BLE001 - the room's one: what no code foresaw must not stop the stream
            get_log().exception("record failed", topic=event.message.topic, offset=event.message.offset)
            self._failures += 1
            if self._failures > _FAILURES_IN_A_ROW:
                await self._app.crash(error)
                return
            self._dead_letter(event, "internal")
        self._note(event.message)

    def _unread(self, record: object, partition: int) -> list[tuple[str, str]]:
        """Name the versions whose references a record needs and nobody has read: after a restart a tick needs many."""
        wanted: Iterable[tuple[str, str]] = ()
        if isinstance(record, InferenceCompleted | PaneUpdated):
            wanted = ((record.model, record.model_version),)
        elif isinstance(record, Tick):
            wanted = self._window_book(partition).versions()
        return [one for one in wanted if not self._references.knows(*one)]

    async def _read_references(self, versions: Iterable[tuple[str, str]]) -> None:
        """Read references in a thread, not ready while a server is away: without them drift would be judged wrongly."""
        for model, version in versions:
            while not self._references.knows(model, version):
                try:
                    await asyncio.to_thread(self._references.of, model, version)
                except Unavailable as error:
                    self._health.not_ready(error.cause, "references")
                    await asyncio.sleep(_RETRY_SECONDS)
            self._health.ready("references")

    def _note(self, message: Message) -> None:
        """Note a record as handled; one of the results' topic only with those before it, at the next flush."""
        if message.topic != COMPLETED:
            self._consumer.handled(message)
            return
        self._unflushed[message.partition] = message
        self._results += 1
        if self._results >= _FLUSH_RESULTS:
            self.flush()

    async def _decoded(self, event: EventT[bytes], kind: type) -> Any:
        """Give the record, or the BadMessage that says why there is none; not ready while the registry is away."""
        while True:
            try:
                record = self._codec.decode(event.value)
            except BadMessage as error:
                return error
            except Unavailable as error:
                self._health.not_ready(error.cause, "registry")
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self._health.ready("registry")
                return record if isinstance(record, kind) else UndecodableMessage(f"this is no {kind.__name__}")

    def _count(self, result: InferenceCompleted, event: EventT[bytes]) -> None:
        partition = event.message.partition
        if partition not in self._panes:
            store = PartitionStore(self.panes_table, partition)
            self._panes[partition] = PaneBook(store, COMPLETED, partition, self._references.measure_of)
        self._panes[partition].count(result, event.message.offset)
        metrics.RESULTS.inc()

    def _merge(self, pane: PaneUpdated, event: EventT[bytes]) -> None:
        self._window_book(event.message.partition).merge(pane)

    def _evaluate(self, tick: Tick, event: EventT[bytes]) -> None:
        partition = event.message.partition
        book = self._window_book(partition)
        for window in book.evaluate(tick, event.message.offset):
            self.send(WINDOW_EVALUATED, _slice_key(window), window)
            metrics.WINDOWS.inc()
        if tick.complete_until is not None:
            book.prune(tick.complete_until)
            if partition in self._panes:
                self._panes[partition].prune(tick.complete_until - REVISABLE)
            metrics.COMPLETE_UNTIL.set(tick.complete_until.timestamp())

    def _window_book(self, partition: int) -> WindowBook:
        if partition not in self._windows:
            store = PartitionStore(self.windows_table, partition)
            self._windows[partition] = WindowBook(store, partition, self._references.of)
        return self._windows[partition]

    def _dead_letter(self, event: EventT[bytes], cause: str) -> None:
        """Put a record aside with its bytes, sealed: what can't be read may hold anything."""
        message = event.message
        name = dead_letter_id(STREAMS_APP, message.topic, message.partition, message.offset)
        letter = MessageDeadLettered(
            id=name,
            group=STREAMS_APP,
            source_topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            cause=cause,
            attempts=1,
            first_seen=datetime.fromtimestamp(message.timestamp, UTC),
            original=self._vault.seal_bytes(event.value or b"", str(name)),
            encrypted=True,
        )
        self.send(DEAD_LETTERED, str(name), letter)
        metrics.DEAD_LETTERS.labels(cause).inc()
        place = {"topic": message.topic, "partition": message.partition, "offset": message.offset}
        get_log().warning("record dead-lettered", **place, cause=cause, dead_letter_id=str(name))


def _slice_key(record: PaneUpdated | WindowEvaluated) -> str:
    """Give the key of panes and windows: all of a slice lies in one partition."""
    return f"{record.model}/{record.model_version}/{record.slice}"


def _is_for_others(event: EventT[bytes]) -> bool:
    wanted = dict(event.message.headers or {}).get(_REPLAY_FOR)
    return wanted is not None and wanted != STREAMS_APP.encode()
