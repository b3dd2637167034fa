"""Kafka clients, configured once: confluent-kafka, with its errors in our words.

Every producer is idempotent with acks=all and partitions by Murmur2, as Java and Faust do.
Every consumer reads committed records and commits by hand.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from radstream.settings import Settings
from schemas.errors import Fenced, KafkaDown, RadStreamError, TransactionAborted

TRANSACTION_TIMEOUT_MS = 10_000
#: How long one call may wait for the broker before it counts as away.
CALL_SECONDS = 10.0
_QUEUED_KIB = 16 * 1024
_FETCH_WAIT_MS = 100
_LARGEST_MESSAGE_BYTES = 1_000_000

_FENCED = frozenset(
    {
        KafkaError._FENCED,  # noqa: SLF001 - librdkafka's own codes are named with an underscore
        KafkaError._FATAL,  # noqa: SLF001
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.PRODUCER_FENCED,
        KafkaError.FENCED_INSTANCE_ID,
    }
)

#: Settings that keep their underscore.
_CALLBACKS = frozenset({"stats_cb", "error_cb"})

_common: Mapping[str, str | int | bool] = {
    "socket.keepalive.enable": True,
    "topic.metadata.refresh.interval.ms": 30_000,
    # librdkafka 2.16 forgets its brokers to bootstrap anew when all are away; a transaction's next call to the group's
    # coordinator then waits for a forgotten one for ever, whatever its timeout (seen after a kill -9 of the broker).
    "metadata.recovery.strategy": "none",
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 1_000,
    "log_level": 2,  # a broker that is away is told by our errors, on one line; librdkafka would write 50 a second
}


def producer(settings: Settings, transactional_id: str | None = None, **more: str | float | bool) -> Producer:
    """Build a producer; with a transactional.id call `init_transactions` before use."""
    config: dict[str, str | int | float | bool] = {
        **_common,
        "bootstrap.servers": settings.kafka_bootstrap,
        "partitioner": "murmur2_random",
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": 0,
        "compression.type": "none",
        "message.max.bytes": _LARGEST_MESSAGE_BYTES,
        "delivery.timeout.ms": TRANSACTION_TIMEOUT_MS,
        **{name.replace("_", "."): value for name, value in more.items()},
    }
    if transactional_id is not None:
        config |= {"transactional.id": transactional_id, "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS}
    return Producer(config)


def consumer(settings: Settings, group: str, **more: Any) -> Consumer:
    """Build a KIP-848 consumer of committed records; offsets are committed by hand, and an absent one is an error.

    `more` takes librdkafka's settings, callbacks too, with underscores for dots.
    """
    config: dict[str, Any] = {
        **_common,
        "bootstrap.servers": settings.kafka_bootstrap,
        "group.id": group,
        "group.protocol": "consumer",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "fetch.wait.max.ms": _FETCH_WAIT_MS,
        "fetch.min.bytes": 1,
        "queued.max.messages.kbytes": _QUEUED_KIB,
        **{name if name in _CALLBACKS else name.replace("_", "."): value for name, value in more.items()},
    }
    return Consumer(config)


def reader(settings: Settings, **more: str | float | bool) -> Consumer:
    """Build a consumer of committed records for `assign`: it joins no group and commits nothing."""
    return consumer(
        settings,
        "radstream.reader",
        **{"group_protocol": "classic", "auto_offset_reset": "earliest", "enable_partition_eof": True, **more},
    )


def admin(settings: Settings) -> AdminClient:
    """Build an admin client; keep a reference to it while waiting on its futures."""
    return AdminClient({**_common, "bootstrap.servers": settings.kafka_bootstrap})


def last_stable_offsets(client: Consumer, topic: str, partitions: int) -> dict[int, int]:
    """Give each partition's last stable offset, as a read_committed consumer sees its end (KIP-98)."""
    with translated(topic):
        return {
            partition: client.get_watermark_offsets(TopicPartition(topic, partition), timeout=CALL_SECONDS)[1]
            for partition in range(partitions)
        }


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what librdkafka raises into our tree: fenced, aborted, or away."""
    try:
        yield
    except KafkaException as error:
        raise translate(error.args[0], what) from error
    except BufferError as error:
        raise KafkaDown(f"the producer's queue is full on {what}: the broker is slow or away") from error


def translate(error: KafkaError, what: str) -> RadStreamError:
    """Say what an error of librdkafka means to us."""
    if error.code() in _FENCED or error.fatal():
        return Fenced(f"{error.name()} on {what}: another process has taken this transactional.id")
    if error.txn_requires_abort():
        return TransactionAborted(f"{error.name()} on {what}")
    return KafkaDown(f"{error.name()} on {what}; see RADSTREAM_KAFKA_BOOTSTRAP")
