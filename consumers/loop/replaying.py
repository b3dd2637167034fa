"""A past stretch of the log through the same loop and handler as live images, and its results put aside.

The loop reads by a reader that knows where the stretch ends, and publishes into `inference.replayed` alone. What was
committed with its results is not done again: a replay that was killed goes on where it was.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256

from consumers.loop.publish import Publisher
from radstream.broker.contract import (
    Broker,
    GroupReader,
    Message,
    Offsets,
    Outgoing,
    Partition,
    TransactionalWriter,
    Writer,
)
from radstream.broker.stretch import Stretch
from radstream.service import Stop
from schemas.codec import Codec
from schemas.topics import COMPLETED, REPLAYED, SHADOWED

_RESULTS = frozenset({COMPLETED, SHADOWED})


def replay_group(model: str, version: str, begin: datetime, end: datetime) -> str:
    """Name the group of a replay: the same call, made again, goes on with the same group.

    >>> from datetime import UTC
    >>> replay_group("chest", "2.0.0", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    'replay.chest.2.0.0.46440e5df92f'
    """
    stretch = f"{begin.isoformat()}/{end.isoformat()}"
    return f"replay.{model}.{version}.{sha256(stretch.encode()).hexdigest()[:12]}"


class Progress:
    """How far a replay is: what was handed out of each partition, and what became final."""

    def __init__(self, stretch: Stretch) -> None:
        self._stretch = stretch
        self._handed: dict[Partition, int] = {}  # the next offset after what was handed out
        self._final: dict[Partition, int] = {}
        self._passed = {one for one, begin in stretch.begin.items() if begin >= stretch.end[one]}
        self.results = 0  # made final by this process (count)

    def read(self, messages: Sequence[Message], lag: Mapping[Partition, int]) -> list[Message]:
        """Take what a reader gave; give what lies in the stretch. No lag: the partition was read to its end."""
        inside = []
        for one in messages:
            if one.offset >= self._stretch.end[one.source]:
                self._passed.add(one.source)
            else:
                self._handed[one.source] = max(self._handed.get(one.source, 0), one.offset + 1)
                inside.append(one)
        self._passed |= {one for one, left in lag.items() if left == 0}
        return inside

    def final(self, offsets: Offsets, results: int) -> None:
        """Note a batch that became final."""
        for one, offset in offsets.items():
            self._final[one] = max(self._final.get(one, 0), offset)
        self.results += results

    @property
    def done(self) -> bool:
        """Whether every record of the stretch was read, and everything that was handed out is final."""
        return self._passed >= self._stretch.begin.keys() and all(
            self._final.get(one, 0) >= offset for one, offset in self._handed.items()
        )


class StretchReader:
    """A member of the replay's group that hands out the stretch and asks the loop to stop behind it."""

    def __init__(self, inner: GroupReader, progress: Progress, stop: Stop, told: Callable[[], None]) -> None:
        self.inner = inner
        self._progress = progress
        self._stop = stop
        self._told = told

    def poll(self, limit: int, timeout_s: float) -> list[Message]:
        """Give messages of the stretch, as the inner reader does."""
        found = self._progress.read(self.inner.poll(limit, timeout_s), self.inner.lag())
        self._told()
        if self._progress.done:
            self._stop.request()
        return found

    def owned(self) -> frozenset[Partition]:
        """Give the partitions that are ours."""
        return self.inner.owned()

    def seek(self, offsets: Offsets) -> None:
        """Read again."""
        self.inner.seek(offsets)

    def commit(self, offsets: Offsets) -> None:
        """Commit."""
        self.inner.commit(offsets)

    def hold(self) -> None:
        """Deliver nothing."""
        self.inner.hold()

    def release(self) -> None:
        """Deliver again."""
        self.inner.release()

    def lag(self) -> Mapping[Partition, int]:
        """Give the lag."""
        return self.inner.lag()

    def close(self) -> None:
        """Leave."""
        self.inner.close()


class StretchBroker:
    """The way to the log for a replay: readers see the stretch alone."""

    def __init__(self, inner: Broker, progress: Progress, stop: Stop, told: Callable[[], None]) -> None:
        self._inner = inner
        self._progress = progress
        self._stop = stop
        self._told = told

    def begin_group(self, group: str, topics: Sequence[str], *, at_end: bool = False) -> bool:
        """Do nothing: `radstream.broker.stretch.begin_at` did."""
        return self._inner.begin_group(group, topics, at_end=at_end)

    def reader(
        self, group: str, topics: Sequence[str], on_lost: Callable[[frozenset[Partition]], None]
    ) -> StretchReader:
        """Join the replay's group."""
        return StretchReader(self._inner.reader(group, topics, on_lost), self._progress, self._stop, self._told)

    def writer(self) -> Writer:
        """Write outside of transactions."""
        return self._inner.writer()

    def transactional_writer(self, transactional_id: str) -> TransactionalWriter:
        """Write under an id."""
        return self._inner.transactional_writer(transactional_id)


class Aside:
    """Publishes results into `inference.replayed`, and nothing else: a replay's dead letters are no work for anybody.

    The result of an image that fails says why, here as there.
    """

    def __init__(self, inner: Publisher, codec: Codec, progress: Progress) -> None:
        self._inner = inner
        self._codec = codec
        self._progress = progress

    def publish(self, records: Sequence[Outgoing], offsets: Offsets, reader: GroupReader) -> None:
        """Make a batch's results final, in their own topic, with the replay's offsets."""
        moved = [self._moved(one) for one in records if one.topic in _RESULTS]
        self._inner.publish(moved, offsets, _member(reader))
        self._progress.final(offsets, len(moved))

    def close(self) -> None:
        """Give the connection back."""
        self._inner.close()

    def _moved(self, record: Outgoing) -> Outgoing:
        value = self._codec.encode(REPLAYED, self._codec.decode(record.value))
        return Outgoing(topic=REPLAYED, key=record.key, value=value, headers=record.headers)


def _member(reader: GroupReader) -> GroupReader:
    return reader.inner if isinstance(reader, StretchReader) else reader
