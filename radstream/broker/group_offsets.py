"""What the broker knows of our groups: who they are, what they committed, what they have not read yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined] # not in its __all__

from radstream.broker.contract import Message, Partition
from radstream.broker.kafka import CALL_SECONDS, admin, reader, translated
from radstream.broker.kafka_broker import message_of
from radstream.settings import Settings
from schemas.topics import STREAMS_APP

_OURS = ("inference.", "sink.")
_POLL_SECONDS = 0.2
#: Unread records are counted one by one up to here; beyond it offsets are subtracted, gaps of markers included.
COUNTED = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """What a group has before it."""

    committed: Mapping[Partition, int]  # next offsets
    lag: Mapping[Partition, int]  # messages, for the same partitions
    first_written_at: datetime | None  # UTC: when the oldest unread record was written
    first_received_at: datetime | None  # UTC: when its image was received

    @property
    def messages(self) -> int:
        """Give the lag of all partitions together (messages)."""
        return sum(self.lag.values())


class Groups:
    """Asks a broker about our groups. Raises KafkaDown."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin = admin(settings)

    def names(self) -> list[str]:
        """List our groups, those without members included."""
        with translated("groups"):
            found = self._admin.list_consumer_groups(request_timeout=CALL_SECONDS).result()
            if found.errors:  # a broker that is away is no exception here, but an error beside an empty list
                first = found.errors[0]  # a KafkaError or an exception that holds one, as librdkafka found it
                raise first if isinstance(first, KafkaException) else KafkaException(first)
        return sorted(
            one.group_id for one in found.valid if one.group_id.startswith(_OURS) or one.group_id == STREAMS_APP
        )

    def members(self, names: Sequence[str]) -> Mapping[str, int]:
        """Count each group's members."""
        if not names:
            return {}
        with translated("groups"):
            asked = self._admin.describe_consumer_groups(list(names), request_timeout=CALL_SECONDS)
            return {name: len(one.result().members) for name, one in asked.items()}

    def unread(self, name: str, counted: int = COUNTED) -> Unread:
        """Look at what a group has not read: records, not offsets, for a transaction's marker is none (keda#5675).

        They are counted one by one up to `counted` a partition; beyond it offsets are subtracted.
        """
        committed = self._committed(name)
        ends = self._stable_ends(list(committed))
        behind = {one: offset for one, offset in committed.items() if offset < ends[one]}
        first: list[Message] = []
        lag = dict.fromkeys(committed, 0)
        for one, found in (self._records(behind, counted) if behind else {}).items():
            lag[one] = len(found) if len(found) < counted else ends[one] - behind[one]
            first += found[:1]
        oldest = min(first, key=lambda message: message.timestamp, default=None)
        return Unread(
            committed=committed,
            lag=lag,
            first_written_at=oldest.timestamp if oldest else None,
            first_received_at=min((received_at(message) for message in first), default=None),
        )

    def _committed(self, name: str) -> dict[Partition, int]:
        with translated(name):
            asked = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)])
            found = asked[name].result(CALL_SECONDS).topic_partitions
        return {Partition(one.topic, one.partition): one.offset for one in found if one.offset >= 0}

    def _stable_ends(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        if not partitions:
            return {}
        with translated("offsets"):
            asked = self._admin.list_offsets(
                {TopicPartition(*one): OffsetSpec.latest() for one in partitions},  # type: ignore[no-untyped-call]
                isolation_level=IsolationLevel.READ_COMMITTED,
                request_timeout=CALL_SECONDS,
            )
            return {Partition(one.topic, one.partition): end.result().offset for one, end in asked.items()}

    def _records(self, start: Mapping[Partition, int], counted: int) -> dict[Partition, list[Message]]:
        """Read each partition's committed records from an offset to the end, or up to `counted`."""
        found: dict[Partition, list[Message]] = {one: [] for one in start}
        unfinished = set(start)
        client = reader(self._settings)
        try:
            client.assign([TopicPartition(one.topic, one.number, offset) for one, offset in start.items()])
            silent_s = 0.0
            while unfinished and silent_s < CALL_SECONDS:
                with translated("unread"):
                    records = client.consume(counted, _POLL_SECONDS)
                silent_s = 0.0 if records else silent_s + _POLL_SECONDS
                for record in records:
                    one = Partition(str(record.topic()), int(record.partition() or 0))
                    error = record.error()
                    if error is None:
                        found[one].append(message_of(record))
                    if len(found[one]) >= counted or (
                        error is not None and error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001
                    ):
                        unfinished.discard(one)
        finally:
            client.close()
        return found


def received_at(message: Message) -> datetime:
    """Read when a record's image was received: its header `event-time`, else the record's own time."""
    try:
        found = datetime.fromisoformat(message.headers.get("event-time", b"").decode("ascii"))
    except ValueError:
        return message.timestamp
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
