"""What the broker says of the streams' progress: the only file here that asks it outside Faust."""

from collections.abc import Mapping
from datetime import UTC, datetime

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, TopicPartition

from radstream import kafka
from radstream.settings import Settings
from schemas.topics import COMPLETED, PANE_UPDATED, SLICE_PARTITIONS, STREAMS_APP, STUDY_PARTITIONS
from streams.completeness import Completeness, Observation

#: How long one look for an unread record may take (seconds).
_LOOK_SECONDS = 2.0


class Progress:
    """Asks for offsets; calls block, so they belong in a thread."""

    def __init__(self, settings: Settings) -> None:
        self._admin = kafka.admin(settings)
        self._reader = kafka.reader(settings)
        self._completeness = Completeness()
        self._nothing_between: dict[int, tuple[int, int]] = {}

    def look(self) -> tuple[Mapping[int, int], datetime | None]:
        """Give the input's last stable offsets and the moment until which all is counted and merged."""
        at = datetime.now(UTC)
        stable = kafka.last_stable_offsets(self._reader, COMPLETED, STUDY_PARTITIONS)
        counted = self._committed(COMPLETED, STUDY_PARTITIONS)
        counted = {
            partition: self._over_markers(partition, counted[partition], stable[partition]) for partition in stable
        }
        pane_ends = kafka.last_stable_offsets(self._reader, PANE_UPDATED, SLICE_PARTITIONS)
        merged = self._committed(PANE_UPDATED, SLICE_PARTITIONS)
        return stable, self._completeness.observe(Observation(at, stable, counted, pane_ends, merged))

    def close(self) -> None:
        """Close the connections."""
        self._reader.close()

    def _committed(self, topic: str, partitions: int) -> dict[int, int]:
        asked = ConsumerGroupTopicPartitions(STREAMS_APP, [TopicPartition(topic, one) for one in range(partitions)])
        with kafka.translated(STREAMS_APP):
            futures = self._admin.list_consumer_group_offsets([asked], request_timeout=kafka.CALL_SECONDS)
            found = futures[STREAMS_APP].result().topic_partitions
        return {one.partition: max(one.offset, 0) for one in found}

    def _over_markers(self, partition: int, committed: int, stable: int) -> int:
        """Give the stable offset where no record lies between: markers and aborted records are never committed over."""
        if committed >= stable:
            return committed
        if self._nothing_between.get(partition) != (committed, stable):
            if self._has_record(partition, committed, stable):
                return committed
            self._nothing_between[partition] = (committed, stable)
        return stable

    def _has_record(self, partition: int, start: int, stable: int) -> bool:
        with kafka.translated(COMPLETED):
            self._reader.assign([TopicPartition(COMPLETED, partition, start)])
            try:
                message = self._reader.poll(_LOOK_SECONDS)
            finally:
                self._reader.unassign()
        if message is None:
            return True
        error = message.error()
        if error is None:
            return (message.offset() or 0) < stable
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own code
            return False
        raise kafka.translate(error, COMPLETED)
