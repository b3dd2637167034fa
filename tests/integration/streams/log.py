"""What the tests of the streams write to the log and read from it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition

from radstream.broker import kafka
from radstream.registry import RegistryIds
from radstream.settings import Settings
from radstream.windows import all_windows
from schemas.codec import Codec
from schemas.inference_completed import InferenceCompleted
from schemas.message_dead_lettered import MessageDeadLettered
from schemas.topics import COMPLETED, DEAD_LETTERED, STREAMS_APP, STUDY_PARTITIONS
from schemas.window_evaluated import WindowEvaluated
from tests.unit.streams.results import result

DAY_SECONDS = 86400


class Inference:
    """Stands for an inference process: writes results in transactions, as those do."""

    def __init__(self, settings: Settings) -> None:
        self._codec = Codec(RegistryIds(settings.schema_registry_url))
        self._producer: Producer = kafka.producer(settings, f"test-{uuid4()}")
        self._producer.init_transactions(kafka.CALL_SECONDS)

    def commit(self, results: Sequence[InferenceCompleted]) -> None:
        """Write results and commit."""
        self._write(results)
        self._producer.commit_transaction(kafka.CALL_SECONDS)

    def abort(self, results: Sequence[InferenceCompleted]) -> None:
        """Write results, all the way to the broker, and abort."""
        self._write(results)
        self._producer.flush(kafka.CALL_SECONDS)
        self._producer.abort_transaction(kafka.CALL_SECONDS)

    def rubbish(self, value: bytes) -> int:
        """Commit a record that is none to partition 0; give its offset."""
        offsets: list[int] = []
        self._producer.begin_transaction()
        self._producer.produce(
            COMPLETED,
            key=b"rubbish",
            value=value,
            partition=0,
            on_delivery=lambda _error, message: offsets.append(message.offset() or 0),
        )
        self._producer.commit_transaction(kafka.CALL_SECONDS)
        return offsets[0]

    def _write(self, results: Sequence[InferenceCompleted]) -> None:
        self._producer.begin_transaction()
        for one in results:
            self._producer.produce(COMPLETED, key=one.study_pseudonym, value=self._codec.encode(COMPLETED, one))


def fresh_model() -> str:
    """Name a model that no other test has windows of."""
    return f"test-{uuid4().hex[:12]}"


def results(model: str, count: int, first: int = 0, received_at: datetime | None = None) -> list[InferenceCompleted]:
    """Make results of many studies, received now or at a given time."""
    now = datetime.now(UTC)
    return [
        result(model=model, study_pseudonym=f"2.25.{number}", received_at=received_at or now, completed_at=now)
        for number in range(first, first + count)
    ]


def window(settings: Settings, model: str, start: datetime, seconds: int) -> WindowEvaluated | None:
    """Give a model's newest statement of one window over all results."""
    for one in all_windows(settings, model):
        if (one.slice, one.window_start, one.window_seconds) == ("all", start, seconds):
            return one
    return None


def counted(settings: Settings, model: str, slice_name: str = "all") -> int:
    """Give how many results the day windows of a slice hold."""
    windows = all_windows(settings, model)
    return sum(one.n for one in windows if one.slice == slice_name and one.window_seconds == DAY_SECONDS)


def revision(settings: Settings, model: str) -> int:
    """Give the highest revision of a model's day windows."""
    return max(one.revision for one in all_windows(settings, model) if one.window_seconds == DAY_SECONDS)


def ends(settings: Settings) -> dict[int, int]:
    """Give the last stable offsets of the results."""
    client = kafka.reader(settings)
    try:
        return kafka.last_stable_offsets(client, COMPLETED, STUDY_PARTITIONS)
    finally:
        client.close()


def committed(settings: Settings) -> dict[int, int]:
    """Give the offsets of the results that the streams committed."""
    client = kafka.admin(settings)
    asked = [TopicPartition(COMPLETED, number) for number in range(STUDY_PARTITIONS)]
    future = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(STREAMS_APP, asked)])[STREAMS_APP]
    return {one.partition: one.offset for one in future.result().topic_partitions}


def dead_letters(settings: Settings) -> dict[UUID, MessageDeadLettered]:
    """Read every dead letter, by its id."""
    codec = Codec(RegistryIds(settings.schema_registry_url))
    client = kafka.reader(settings)
    found: dict[UUID, MessageDeadLettered] = {}
    try:
        client.assign([TopicPartition(DEAD_LETTERED, number, 0) for number in range(STUDY_PARTITIONS)])
        waiting = STUDY_PARTITIONS
        while waiting:
            message = client.poll(kafka.CALL_SECONDS)
            assert message is not None
            if message.error():
                waiting -= 1
            else:
                letter = codec.decode(message.value())
                found[letter.id] = letter
    finally:
        client.close()
    return found
