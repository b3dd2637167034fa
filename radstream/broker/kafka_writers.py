"""Records into Apache Kafka, outside of transactions and inside."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, runtime_checkable

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka import Message as KafkaMessage

from radstream.broker.contract import GroupReader, Offsets, Outgoing
from radstream.broker.kafka import CALL_SECONDS, translate, translated
from schemas.errors import Fenced, KafkaDown, TransactionAborted

#: A commit that was answered "try again" is tried this often before the transaction is given up.
_COMMIT_ATTEMPTS = 3
#: How long an abort waits for what was written to be at the broker (seconds).
_ABORT_FLUSH_SECONDS = 1.0


@runtime_checkable
class KafkaMember(Protocol):
    """A group reader with librdkafka's consumer behind it, whose metadata a transaction needs."""

    consumer: Consumer


class KafkaWriter:
    """Writes outside of transactions."""

    def __init__(self, made: Producer) -> None:
        self._producer = made

    def write(self, records: Sequence[Outgoing]) -> None:
        """Write all and wait until the broker has them (acks=all)."""
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: KafkaMessage) -> None:
            if error is not None:
                failed.append(error)

        with translated("write"):
            for record in records:
                _produce(self._producer, record, on_delivery=delivered)
            left = self._producer.flush(CALL_SECONDS)
        if failed:
            raise translate(failed[0], "write")
        if left:
            raise KafkaDown(f"{left} of {len(records)} records had no answer in {CALL_SECONDS} s")

    def close(self) -> None:
        """Send what is left."""
        self._producer.flush(CALL_SECONDS)


class KafkaTransactionalWriter:
    """Writes under one transactional.id."""

    def __init__(self, made: Producer, transactional_id: str) -> None:
        self._producer = made
        self._id = transactional_id

    def begin(self) -> None:
        """Open a transaction."""
        with translated(self._id):
            self._producer.begin_transaction()

    def write(self, records: Sequence[Outgoing]) -> None:
        """Write inside the open transaction; `commit` waits for the deliveries."""
        with translated(self._id):
            for record in records:
                _produce(self._producer, record)
            self._producer.poll(0)

    def send_offsets(self, offsets: Offsets, reader: GroupReader) -> None:
        """Put the group's next offsets into the transaction, with the group's metadata of this moment."""
        if not isinstance(reader, KafkaMember):
            raise TypeError(f"offsets of a {type(reader).__name__} can't go into a Kafka transaction")
        send = partial(
            self._producer.send_offsets_to_transaction,
            positions(offsets),
            reader.consumer.consumer_group_metadata(),
            CALL_SECONDS,
        )
        self._again(send)

    def commit(self) -> None:
        """Make records and offsets visible together, and wait for it."""
        self._again(partial(self._producer.commit_transaction, CALL_SECONDS))

    def abort(self) -> None:
        """Make them invisible for ever, and wait for it; raises Fenced where even that fails.

        What was written goes out first: librdkafka ends for good where it aborts what the broker does not know yet,
        because the markers of the transaction before are still being written (its issue 4849).
        """
        self._producer.flush(_ABORT_FLUSH_SECONDS)
        try:
            self._again(partial(self._producer.abort_transaction, CALL_SECONDS))
        except (TransactionAborted, KafkaDown) as error:
            raise Fenced(f"{self._id} could not abort: a new process must take its place") from error

    def close(self) -> None:
        """Abort what is open."""
        with suppress(KafkaException):
            self._producer.abort_transaction(CALL_SECONDS)

    def _again(self, call: Callable[[], Any]) -> None:
        """Call again what librdkafka says may be called again (its `retriable`), a few times."""
        for attempt in range(_COMMIT_ATTEMPTS):
            try:
                call()
            except KafkaException as error:
                kafka_error = error.args[0]
                if kafka_error.retriable() and attempt + 1 < _COMMIT_ATTEMPTS:
                    continue
                raise translate(kafka_error, self._id) from error
            return


def _produce(client: Producer, record: Outgoing, **more: Any) -> None:
    if record.partition is not None:
        more["partition"] = record.partition
    client.produce(record.topic, key=record.key, value=record.value, headers=list(record.headers.items()), **more)


def positions(offsets: Offsets) -> list[TopicPartition]:
    """Turn our offsets into librdkafka's."""
    return [TopicPartition(one.topic, one.number, offset) for one, offset in offsets.items()]
