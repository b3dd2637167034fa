"""What is in the log already: its ends, and the events of a stretch of it, read back to settle a doubt (promise 2)."""

import time
from contextlib import suppress
from uuid import UUID

from confluent_kafka import Consumer, KafkaError, TopicPartition

from radstream.broker.kafka import CALL_SECONDS, TRANSACTION_TIMEOUT_MS, reader, translated
from radstream.settings import Settings
from schemas.codec import Codec
from schemas.errors import BadMessage, KafkaDown

_READ_BACK_SECONDS = 2 * TRANSACTION_TIMEOUT_MS / 1000
_POLL_SECONDS = 0.5

_PARTITION_END = KafkaError._PARTITION_EOF  # noqa: SLF001 - librdkafka's own codes are named with an underscore


class LogReader:
    """Reads committed events. For one thread; connects at the first call. Every call raises KafkaDown."""

    def __init__(self, settings: Settings, codec: Codec) -> None:
        self._settings = settings
        self._codec = codec
        self._client: Consumer | None = None
        self._partitions: dict[str, int] = {}

    def partitions_of(self, topic: str) -> int:
        """Give a topic's number of partitions, asked for once."""
        if topic not in self._partitions:
            with translated(topic):
                found = self._log().list_topics(topic, timeout=CALL_SECONDS).topics[topic].partitions
            if not found:
                raise KafkaDown(f"{topic} is not there: `radstream up` makes it")
            self._partitions[topic] = len(found)
        return self._partitions[topic]

    def end(self, topic: str, partition: int) -> int:
        """Give the last stable offset of this moment."""
        with translated(topic):
            return int(self._log().get_watermark_offsets(TopicPartition(topic, partition), timeout=CALL_SECONDS)[1])

    def events_from(self, topic: str, partition: int, start: int) -> set[UUID]:
        """Give the events from an offset to the end of this moment.

        What others have open holds back the last stable offset, so this reads until it has passed that end.
        """
        log = self._log()
        with translated(topic):
            low, _ = log.get_watermark_offsets(TopicPartition(topic, partition), timeout=CALL_SECONDS)
            end = self._end_of_everything(topic, partition)
            log.assign([TopicPartition(topic, partition, min(max(start, low), end))])
        found: set[UUID] = set()
        deadline = time.monotonic() + _READ_BACK_SECONDS
        try:
            while time.monotonic() < deadline:
                message = log.poll(_POLL_SECONDS)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    with suppress(BadMessage):  # not of our writing, so not the one in doubt
                        found.add(self._codec.decode(message.value()).event_id)
                elif error.code() != _PARTITION_END:
                    raise KafkaDown(f"{error.name()} while reading {topic} back")
                if error is not None and (message.offset() or 0) >= end:
                    return found
        finally:
            log.unassign()
        raise KafkaDown(f"{topic}/{partition} could not be read back to offset {end} in {_READ_BACK_SECONDS:.0f} s")

    def close(self) -> None:
        """Let the client go."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def _log(self) -> Consumer:
        if self._client is None:
            self._client = reader(self._settings)
        return self._client

    def _end_of_everything(self, topic: str, partition: int) -> int:
        """Give where the log ends now, open transactions included."""
        client = reader(self._settings, isolation_level="read_uncommitted")
        try:
            return int(client.get_watermark_offsets(TopicPartition(topic, partition), timeout=CALL_SECONDS)[1])
        finally:
            client.close()
