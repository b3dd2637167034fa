"""Events into the log, each once, in small Kafka transactions under a writer's transactional.id (promise 2)."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from uuid import UUID

from confluent_kafka import KafkaError, Message, Producer

from dicom_listener.crash_points import Step
from dicom_listener.forwarding.fences import Fences
from dicom_listener.forwarding.log_reader import LogReader
from dicom_listener.forwarding.partitioner import partition_of
from radstream.broker.kafka import CALL_SECONDS, TRANSACTION_TIMEOUT_MS, translated
from radstream.crash_points import CrashPoints
from radstream.journal.registration import Arrival, Place, Registered
from radstream.journal.writer import Doubt, Journal
from radstream.settings import Settings
from radstream.traces import SpanContext
from schemas.codec import Codec
from schemas.errors import Fenced, KafkaDown, PostgresDown, TransactionAborted
from schemas.instance_received import InstanceReceived
from schemas.topics import RECEIVED_OF, RECEIVED_STAT
from schemas.words import Lane

_TRANSACTION_SECONDS = TRANSACTION_TIMEOUT_MS / 1000
#: How long what was taken at its registration counts as ours, whatever became of the journal since: with two calls to
#: the broker far less than FOREIGN_DOUBT_SECONDS, before which nobody else judges it.
_TAKEN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch."""

    in_log: frozenset[UUID]  # certain
    new: frozenset[UUID]  # of these, written now
    held: frozenset[UUID]  # another listener has them in hand: ask again later


@dataclass(frozen=True, slots=True)
class _Settled:
    """What was found out about events that somebody had in hand before."""

    in_log: frozenset[UUID] = frozenset()  # certain, or to be written now
    new: frozenset[UUID] = frozenset()  # of these, to be written now
    found: frozenset[UUID] = frozenset()  # of these, those in the log that the journal does not know of
    held: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class _Record:
    topic: str
    partition: int
    key: bytes
    value: bytes
    headers: dict[str, str | bytes | None]


class Publisher:
    """Writes batches of events. For one thread: transactions of one id follow each other."""

    def __init__(  # noqa: PLR0913 - what it writes by, and a test's clock
        self,
        settings: Settings,
        codec: Codec,
        journal: Journal,
        fences: Fences,
        crash_points: CrashPoints,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`journal`: with the writer's name as its slot, of which it has the transactional.id."""
        self._clock = clock
        self._codec = codec
        self._journal = journal
        self._crash_points = crash_points
        self._fences = fences
        self._producer: Producer | None = None
        self._log = LogReader(settings, codec)
        #: For each topic and partition an offset at which its log ended at some time.
        self._ends: dict[tuple[str, int], int] = {}
        #: What is in the log and not noted yet: when Success was decided.
        self._unnoted: dict[UUID, datetime] = {}
        self._holds = False  # locks of the journal
        self._taken: frozenset[UUID] = frozenset()  # at their registration
        self._taken_at = 0.0

    def register(self, arrivals: Sequence[Arrival]) -> list[Registered]:
        """Bring images into the journal, and note there what was published; new events are ours to publish next.

        Raises PostgresDown, KafkaDown.
        """
        self._taken, self._taken_at = frozenset(), self._clock()
        rows, self._taken = self._journal.register(arrivals, self._place, self._unnoted)
        self._unnoted, self._holds = {}, bool(self._taken)
        return rows

    def publish(
        self,
        events: Mapping[UUID, InstanceReceived],
        answered: Mapping[UUID, datetime],
        traced: Mapping[UUID, bytes] = MappingProxyType({}),
    ) -> Written:
        """Bring events into the log, each once. What comes next, `register`, `publish` or `note`, notes these.

        1. lock the events and note in the journal where they will stand: only one listener publishes an event. New
           ones were at their registration.
        2. leave out what others hold, and what is in the log: by the journal, or in doubt by the log itself
        3. one Kafka transaction: from here on they are in the log, and their senders may be answered

        `answered`: when an image was answered from the spool already; `traced`: an event's header `traceparent`.
        Raises KafkaDown, PostgresDown, RegistryDown, Fenced; then nothing is known to be written, and a repeat settles
        it.
        """
        self._crash_points.reach(Step.BEFORE_PUBLISH)
        places = {key: self._place(event.lane, event.study_pseudonym) for key, event in events.items()}
        self._holds = True
        try:
            taken = self._taken_before(events)
            if taken is None:
                taken = self._journal.take(places, self._unnoted)
                self._unnoted = {}
            settled = self._settle({key: place for key, place in places.items() if key not in taken})
            new = taken | settled.new
            if new:
                self._transact([self._record(events[key], places[key], traced.get(key)) for key in new])
        except BaseException:
            self._holds = bool(self._unnoted)
            with suppress(PostgresDown):  # then the connection is gone, and its locks with it
                self._journal.unlock()
            raise
        now = datetime.now(UTC)
        self._unnoted = {key: answered.get(key, now) for key in new | settled.found}
        return Written(taken | settled.in_log, new, settled.held)

    def note(self) -> None:
        """Note in the journal what was published, and give the locks back. Raises PostgresDown."""
        if self._holds:
            self._journal.acknowledged(self._unnoted)
            self._unnoted, self._holds = {}, False

    def _taken_before(self, events: Mapping[UUID, InstanceReceived]) -> frozenset[UUID] | None:
        """Give the events if all of them were taken just now, at their registration; a second try asks the journal."""
        taken, self._taken = self._taken, frozenset()
        fresh = self._clock() - self._taken_at < _TAKEN_SECONDS
        return frozenset(events) if fresh and events.keys() <= taken else None

    def _settle(self, places: Mapping[UUID, Place]) -> "_Settled":
        """Find out about events that somebody had in hand before: here, in a former process, in another one."""
        if not places:
            return _Settled()
        locked, certain, doubts = self._journal.claim(list(places))
        foreign = {doubt.event_id for doubt in doubts if not self._may_settle(doubt)}
        found = self._read_back([doubt for doubt in doubts if doubt.event_id not in foreign])
        absent = locked - certain - found - foreign
        if absent:
            self._journal.publishing({key: places[key] for key in absent})
        return _Settled(
            in_log=frozenset(locked - foreign),
            new=frozenset(absent),
            found=frozenset(found),
            held=frozenset(places.keys() - locked | foreign),
        )

    def prepare(self) -> None:
        """Do before the first image what it would have to wait for. Raises KafkaDown, RegistryDown, Fenced."""
        self._ready_producer()
        for topic in RECEIVED_OF.values():
            for partition in range(self._log.partitions_of(topic)):
                self._end(topic, partition)

    def close(self) -> None:
        """Let the clients go."""
        self._log.close()
        self._producer = None

    def _may_settle(self, doubt: Doubt) -> bool:
        return doubt.slot == self._journal.slot or self._fences.is_over(doubt.slot, doubt.age_seconds)

    def _transact(self, records: Sequence[_Record]) -> None:
        """Write events in one transaction; after any error the producer is thrown away and the log decides.

        STAT first. Fenced within the transaction's time-out means that another process took the slot's id.
        """
        client = self._ready_producer()
        began = time.monotonic()
        try:
            with translated("publishing"):
                client.begin_transaction()
                for record in sorted(records, key=lambda one: one.topic != RECEIVED_STAT):
                    self._produce(client, record)
                if self._crash_points.armed(Step.BEFORE_COMMIT):
                    client.flush(CALL_SECONDS)
                    self._crash_points.reach(Step.BEFORE_COMMIT)
                client.commit_transaction(CALL_SECONDS)
        except Fenced as error:
            self._producer = None
            if time.monotonic() - began < _TRANSACTION_SECONDS:
                raise
            raise KafkaDown(
                "the broker ended a transaction that took too long; see RADSTREAM_KAFKA_BOOTSTRAP"
            ) from error
        except TransactionAborted as error:
            self._producer = None
            raise KafkaDown(f"the transaction was aborted ({error})") from error
        except BaseException:
            self._producer = None
            raise
        self._crash_points.reach(Step.AFTER_COMMIT)

    def _record(self, event: InstanceReceived, place: Place, traceparent: bytes | None) -> _Record:
        return _Record(
            topic=place.topic,
            partition=place.partition,
            key=event.study_pseudonym.encode(),
            value=self._codec.encode(place.topic, event),
            headers={
                "event-time": event.received_at.isoformat().encode(),
                "traceparent": traceparent or SpanContext.root().header,
            },
        )

    def _produce(self, client: Producer, record: _Record) -> None:
        client.produce(
            record.topic,
            record.value,
            key=record.key,
            partition=record.partition,
            headers=record.headers,
            on_delivery=self._delivered,
        )

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        offset = message.offset()
        if error is None and offset is not None and offset >= 0:
            place = (str(message.topic()), int(message.partition() or 0))
            self._ends[place] = max(self._ends.get(place, 0), offset + 1)

    def _ready_producer(self) -> Producer:
        """Give the producer; a new one fences whoever had the slot before, and ends what that one had begun."""
        if self._producer is None:
            self._producer = self._fences.producer_of(self._journal.slot)
        return self._producer

    def _place(self, lane: Lane, study_pseudonym: str) -> Place:
        topic = RECEIVED_OF[lane]
        partition = partition_of(study_pseudonym.encode(), self._log.partitions_of(topic))
        return Place(topic=topic, partition=partition, end_offset=self._end(topic, partition))

    def _end(self, topic: str, partition: int) -> int:
        if (topic, partition) not in self._ends:
            self._ends[topic, partition] = self._log.end(topic, partition)
        return self._ends[topic, partition]

    def _read_back(self, doubts: Sequence[Doubt]) -> set[UUID]:
        """Say which events in doubt are in the log: read from where it ended before, to where it ends for certain.

        The producer is made first: its `init_transactions` ends what our former self had begun.
        """
        if not doubts:
            return set()
        self._producer = None
        self._ready_producer()
        starts: dict[tuple[str, int], int] = {}
        for doubt in doubts:
            place = (doubt.place.topic, doubt.place.partition)
            starts[place] = min(starts.get(place, doubt.place.end_offset), doubt.place.end_offset)
        wanted = {doubt.event_id for doubt in doubts}
        return {found for place, start in starts.items() for found in self._log.events_from(*place, start)} & wanted
