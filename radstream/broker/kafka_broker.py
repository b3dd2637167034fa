"""The broker's contract on Apache Kafka."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka import Message as KafkaMessage

from radstream.broker.contract import Message, Offsets, Partition
from radstream.broker.kafka import CALL_SECONDS, consumer, producer, translate, translated
from radstream.broker.kafka_writers import KafkaTransactionalWriter, KafkaWriter, positions
from radstream.settings import Settings
from schemas.errors import KafkaDown, OffsetUnknown, RadStreamError

_STATISTICS_MS = 5_000
#: Events of a consumer that are news but no failure of the loop: librdkafka goes on by itself.
_PASSING = frozenset(
    {
        KafkaError._TRANSPORT,  # noqa: SLF001 - librdkafka's own codes are named with an underscore
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._MAX_POLL_EXCEEDED,  # noqa: SLF001
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
    }
)


class KafkaBroker:
    """The way to the log of one Kafka cluster."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def begin_group(self, group: str, topics: Sequence[str], *, at_end: bool = False) -> bool:
        """Set a group's offsets where it has none: to the log's start, or to its end of this moment.

        As a consumer without a subscription would.
        An AdminClient would not do: asked while a new broker still makes its offsets topic, it never gets its answer,
        and hangs when it is freed (librdkafka 2.16).
        """
        with translated(group), closing(consumer(self._settings, group, group_protocol="classic")) as client:
            known = client.list_topics(timeout=CALL_SECONDS).topics
            if missing := [topic for topic in topics if topic not in known]:
                raise KafkaDown(f"{missing[0]} is not there yet: {group} can't begin in it")
            partitions = [TopicPartition(topic, number) for topic in topics for number in known[topic].partitions]
            found = client.committed(partitions, timeout=CALL_SECONDS)
            new = [TopicPartition(one.topic, one.partition) for one in found if one.offset < 0]
            for one in new:
                one.offset = client.get_watermark_offsets(one, timeout=CALL_SECONDS)[int(at_end)]
            if new:
                client.commit(offsets=new, asynchronous=False)
        return bool(new)

    def reader(
        self, group: str, topics: Sequence[str], on_lost: Callable[[frozenset[Partition]], None]
    ) -> "KafkaGroupReader":
        """Join a group."""
        return KafkaGroupReader(self._settings, group, topics, on_lost)

    def writer(self) -> "KafkaWriter":
        """Write outside of transactions."""
        return KafkaWriter(producer(self._settings))

    def transactional_writer(self, transactional_id: str) -> "KafkaTransactionalWriter":
        """Fence whoever holds this id, and write in its name."""
        made = producer(self._settings, transactional_id)
        with translated(transactional_id):
            made.init_transactions(CALL_SECONDS)
        return KafkaTransactionalWriter(made, transactional_id)


class KafkaGroupReader:
    """A member of a consumer group (KIP-848)."""

    def __init__(
        self,
        settings: Settings,
        group: str,
        topics: Sequence[str],
        on_lost: Callable[[frozenset[Partition]], None],
    ) -> None:
        self._group = group
        self._on_lost = on_lost
        self._owned: set[Partition] = set()
        self._held = False
        self._position: dict[Partition, int] = {}
        self._stable_end: dict[Partition, int] = {}
        self.consumer: Consumer = consumer(
            settings,
            group,
            enable_partition_eof=True,
            statistics_interval_ms=_STATISTICS_MS,
            stats_cb=self._read_statistics,
        )
        with translated(group):
            self.consumer.subscribe(
                list(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked
            )

    def poll(self, limit: int, timeout_s: float) -> list[Message]:
        """Give up to `limit` messages; waits `timeout_s` for the first one only.

        librdkafka's `consume` would wait out its timeout for the last one.
        """
        with translated(self._group):
            first = self.consumer.poll(timeout_s)
            if first is None:
                return []
            rest = self.consumer.consume(limit - 1, 0) if limit > 1 else []
        return [message for one in (first, *rest) if (message := self._message(one)) is not None]

    def owned(self) -> frozenset[Partition]:
        """Give the partitions that are ours at this moment."""
        return frozenset(self._owned)

    def seek(self, offsets: Offsets) -> None:
        """Read these partitions again from these offsets; those that are no longer ours are passed over."""
        for one, offset in offsets.items():
            if one in self._owned:
                self._position[one] = offset
                with translated(f"{one.topic}[{one.number}]"):
                    self.consumer.seek(TopicPartition(one.topic, one.number, offset))

    def commit(self, offsets: Offsets) -> None:
        """Commit outside of any transaction, and wait for it."""
        with translated(self._group):
            for done in self.consumer.commit(offsets=positions(offsets), asynchronous=False) or []:
                if done.error is not None:
                    raise KafkaException(done.error)

    def hold(self) -> None:
        """Deliver nothing until `release`. Throws the prefetch queue away: for troubles, not for each batch."""
        if not self._held:
            self._held = True
            with translated(self._group):
                self.consumer.pause([TopicPartition(*one) for one in self._owned])

    def release(self) -> None:
        """Deliver again."""
        if self._held:
            self._held = False
            with translated(self._group):
                self.consumer.resume([TopicPartition(*one) for one in self._owned])

    def lag(self) -> Mapping[Partition, int]:
        """Give the distance of what was delivered from the last stable offset, as the last statistics saw it."""
        return {
            one: max(0, self._stable_end[one] - self._position[one])
            for one in self._owned
            if one in self._stable_end and one in self._position
        }

    def close(self) -> None:
        """Leave the group."""
        self.consumer.close()

    def _message(self, one: KafkaMessage) -> Message | None:
        error = one.error()
        topic, number, offset = one.topic(), one.partition(), one.offset()
        if error is None:
            self._position[Partition(str(topic), int(number or 0))] = int(offset or 0) + 1
            return message_of(one)
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own code
            self._position[Partition(str(topic), int(number or 0))] = int(offset or 0)
            return None
        if error.code() in _PASSING:
            return None
        raise self._error(error)

    def _error(self, error: KafkaError) -> RadStreamError:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - librdkafka's own code
            return OffsetUnknown(
                f"{self._group} has no offset, or one outside of the log: "
                "`radstream up` sets a new group's offsets, and retention may have overtaken a group that stood still"
            )
        return translate(error, self._group)

    def _assigned(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        client.incremental_assign(partitions)
        self._owned |= {Partition(one.topic, one.partition) for one in partitions}
        if self._held:
            client.pause(partitions)

    def _revoked(self, _client: Consumer, partitions: list[TopicPartition]) -> None:
        lost = frozenset(Partition(one.topic, one.partition) for one in partitions)
        self._owned -= lost
        for one in lost:
            self._position.pop(one, None)
        self._on_lost(lost)

    def _read_statistics(self, text: str) -> None:
        for topic, found in json.loads(text)["topics"].items():
            for number, numbers in found["partitions"].items():
                if numbers.get("ls_offset", -1) >= 0:
                    self._stable_end[Partition(topic, int(number))] = numbers["ls_offset"]


def message_of(one: KafkaMessage) -> Message:
    """Turn a record of librdkafka into ours."""
    kind, milliseconds = one.timestamp()
    return Message(
        topic=str(one.topic()),
        partition=int(one.partition() or 0),
        offset=int(one.offset() or 0),
        key=_bytes(one.key()),
        value=_bytes(one.value()),
        headers={str(pair[0]): _bytes(pair[1]) or b"" for pair in one.headers() or []},
        timestamp=datetime.fromtimestamp(0 if kind == TIMESTAMP_NOT_AVAILABLE else milliseconds / 1000, UTC),
    )


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
