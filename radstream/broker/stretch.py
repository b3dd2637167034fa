"""A stretch of the log: from one time to another, as offsets of each partition, and a group that begins there."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from confluent_kafka import Consumer, TopicPartition

from radstream.broker.contract import Offsets, Partition
from radstream.broker.kafka import CALL_SECONDS, consumer, reader, translated
from radstream.settings import Settings


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `begin` on and before `end`: both have every partition. Times are the records', as the log has them."""

    begin: Offsets
    end: Offsets

    def holds(self, one: Partition, offset: int) -> bool:
        """Say whether a record lies in it."""
        return self.begin[one] <= offset < self.end[one]

    @property
    def records(self) -> int:
        """How many records it has at most: transaction markers count, too."""
        return sum(self.end[one] - begin for one, begin in self.begin.items())


def stretch_of(settings: Settings, topics: Sequence[str], begin: datetime, end: datetime) -> Stretch:
    """Find the records that were written from `begin` on and before `end`; raise KafkaDown.

    Where the log has nothing as late as `end`, the stretch ends at the last stable offset of this moment.
    """
    with closing(reader(settings)) as client, translated("stretch"):
        known = client.list_topics(timeout=CALL_SECONDS).topics
        partitions = [Partition(topic, number) for topic in topics for number in known[topic].partitions]
        ends = {one: client.get_watermark_offsets(TopicPartition(*one), timeout=CALL_SECONDS)[1] for one in partitions}
        return Stretch(_at(client, begin, ends), _at(client, end, ends))


def begin_at(settings: Settings, group: str, offsets: Offsets) -> bool:
    """Let a group begin at these offsets, where it has none yet; say whether any was set. Raises KafkaDown."""
    wanted = [TopicPartition(*one, offset) for one, offset in offsets.items()]
    with closing(consumer(settings, group, group_protocol="classic")) as client, translated(group):
        found = client.committed([TopicPartition(*one) for one in offsets], timeout=CALL_SECONDS)
        placed = {Partition(one.topic, one.partition) for one in found if one.offset >= 0}
        new = [one for one in wanted if Partition(one.topic, one.partition) not in placed]
        if new:
            client.commit(offsets=new, asynchronous=False)
    return bool(new)


def _at(client: Consumer, when: datetime, ends: Offsets) -> Offsets:
    asked = [TopicPartition(*one, int(when.timestamp() * 1000)) for one in ends]
    found = client.offsets_for_times(asked, timeout=CALL_SECONDS)
    offsets = {Partition(one.topic, one.partition): one.offset for one in found}
    return {one: end if offsets[one] < 0 else min(offsets[one], end) for one, end in ends.items()}
