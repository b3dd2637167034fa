"""What the broker says of the streams' progress: the only file here that asks it outside Faust."""

from collections.abc import Mapping
from datetime import UTC, datetime

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from radstream.broker import kafka
from radstream.settings import Settings
from schemas.topics import COMPLETED, PANE_UPDATED, SLICE_PARTITIONS, STREAMS_APP, STUDY_PARTITIONS
from streams.completeness import Completeness, Observation

#: How long one look for an unread record may take (seconds).
_LOOK_SECONDS = 2.0


class Progress:
    """Asks for offsets; calls block, so they belong in a thread.

    No admin client: under a request about groups it aborts the whole worker when the broker goes (librdkafka#4605).
    """

    def __init__(self, settings: Settings) -> None:
        # A consumer that never subscribes is no member: it only names the group whose offsets it asks for.
        self._group = kafka.consumer(settings, STREAMS_APP, group_protocol="classic")
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
        self._group.close()
        self._reader.close()

    def _committed(self, topic: str, partitions: int) -> dict[int, int]:
        asked = [TopicPartition(topic, one) for one in range(partitions)]
        with kafka.translated(STREAMS_APP):
            found = self._group.committed(asked, timeout=kafka.CALL_SECONDS)
            for one in found:
                if one.error is not None:
                    raise KafkaException(one.error)
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
