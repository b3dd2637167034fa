"""Places where a test may have an inference process killed (radstream.crash_points), between the calls that matter."""

from collections.abc import Sequence
from concurrent.futures import Future
from enum import StrEnum, unique

from consumers.decoding.decoders import Fetched
from consumers.imaging.inputs import InputSpec
from consumers.inference.group import Pool
from radstream.broker.contract import GroupReader, Offsets, Outgoing, TransactionalWriter
from radstream.crash_points import CrashPoints
from schemas.instance_received import InstanceReceived


@unique
class Step(StrEnum):
    """The steps of an image, in order."""

    AFTER_FETCH = "after-fetch"  # fetched and decoded; no model has seen it
    BEFORE_BEGIN = "before-begin"  # answered; the broker knows of nothing
    AFTER_PRODUCE = "after-produce"  # its result is written in an open transaction
    BEFORE_COMMIT = "before-commit"  # so are the input's next offsets
    AFTER_COMMIT = "after-commit"  # result and offsets are visible; this process doesn't know


class MortalPool:
    """The decoders of a process that may die when they have decoded."""

    def __init__(self, pool: Pool, points: CrashPoints) -> None:
        self._pool = pool
        self._points = points

    def submit(self, event: InstanceReceived, specs: Sequence[InputSpec]) -> Future[Fetched]:
        """Queue an image."""
        fetched = self._pool.submit(event, specs)
        fetched.add_done_callback(lambda _done: self._points.reach(Step.AFTER_FETCH))
        return fetched


class MortalWriter:
    """A transactional writer whose process may die between two of its calls."""

    def __init__(self, writer: TransactionalWriter, points: CrashPoints) -> None:
        self._writer = writer
        self._points = points

    def begin(self) -> None:
        """Open a transaction."""
        self._points.reach(Step.BEFORE_BEGIN)
        self._writer.begin()

    def write(self, records: Sequence[Outgoing]) -> None:
        """Write inside the open transaction."""
        self._writer.write(records)
        self._points.reach(Step.AFTER_PRODUCE)

    def send_offsets(self, offsets: Offsets, reader: GroupReader) -> None:
        """Put the group's next offsets into the transaction."""
        self._writer.send_offsets(offsets, reader)
        self._points.reach(Step.BEFORE_COMMIT)

    def commit(self) -> None:
        """Make records and offsets visible together."""
        self._writer.commit()
        self._points.reach(Step.AFTER_COMMIT)

    def abort(self) -> None:
        """Make them invisible for ever."""
        self._writer.abort()

    def close(self) -> None:
        """Give the connection back."""
        self._writer.close()
