"""A topic read from one place to its end, outside of any group: for commands and for tests."""

import time
from collections.abc import Iterator, Mapping
from datetime import datetime

from confluent_kafka import KafkaError, TopicPartition

from radstream.broker.contract import Message, Partition
from radstream.broker.kafka import CALL_SECONDS, reader, translate, translated
from radstream.broker.kafka_broker import message_of
from radstream.settings import Settings
from schemas.errors import KafkaDown

_POLL_SECONDS = 0.2
_BEGINNING = -2  # librdkafka's OFFSET_BEGINNING


def offsets_since(settings: Settings, topic: str, since: datetime) -> dict[int, int]:
    """Give each partition's first offset of what was written from a time (UTC) on; its end where nothing was."""
    client = reader(settings)
    try:
        with translated(topic):
            known = client.list_topics(topic, timeout=CALL_SECONDS).topics[topic].partitions
            asked = [TopicPartition(topic, number, int(since.timestamp() * 1000)) for number in known]
            return {one.partition: one.offset for one in client.offsets_for_times(asked, timeout=CALL_SECONDS)}
    finally:
        client.close()


def read_to_end(settings: Settings, topic: str, start: Mapping[int, int] | None = None) -> Iterator[Message]:
    """Give the committed records of each partition from `start` (offset by partition; else all that is kept).

    Ends at the last stable offset of the moment when each partition's end is reached. Raises KafkaDown when the broker
    falls silent.
    """
    client = reader(settings)
    try:
        with translated(topic):
            known = client.list_topics(topic, timeout=CALL_SECONDS).topics[topic].partitions
        unread = {Partition(topic, number) for number in known}
        begin = {number: (start or {}).get(number, _BEGINNING) for number in known}
        client.assign([TopicPartition(topic, number, offset) for number, offset in begin.items()])
        heard = time.monotonic()
        while unread:
            one = client.poll(_POLL_SECONDS)
            if one is None:
                if time.monotonic() - heard > CALL_SECONDS:
                    raise KafkaDown(f"{topic} fell silent before its end; see RADSTREAM_KAFKA_BOOTSTRAP")
                continue
            heard = time.monotonic()
            error = one.error()
            if error is None:
                yield message_of(one)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own code
                unread.discard(Partition(topic, int(one.partition() or 0)))
            elif not error.retriable():
                raise translate(error, topic)
    finally:
        client.close()
