"""The last step of every group: outputs and offsets, in the order that keeps the promises."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from radstream.broker.contract import GroupReader, Offsets, Outgoing, TransactionalWriter, Writer
from schemas.errors import KafkaDown, TransactionAborted


class Publisher(Protocol):
    """Makes a batch final."""

    def publish(self, records: Sequence[Outgoing], offsets: Offsets, reader: GroupReader) -> None:
        """Write records and commit offsets; raises TransactionAborted (nothing is visible), KafkaDown, Fenced."""

    def close(self) -> None:
        """Give the connection back."""


class InTransaction:
    """Records and offsets become visible together or never (promise 2)."""

    def __init__(self, writer: TransactionalWriter) -> None:
        self._writer = writer

    def publish(self, records: Sequence[Outgoing], offsets: Offsets, reader: GroupReader) -> None:
        """Make a batch's results visible, all or none.

        1. begin
        2. produce the results
        3. send the input's next offsets, with the group's metadata of this moment
        4. commit

        The consumer is not polled in between, so no revocation can fall inside.
        """
        self._writer.begin()
        try:
            self._writer.write(records)
            self._writer.send_offsets(offsets, reader)
            self._writer.commit()
        except (TransactionAborted, KafkaDown) as error:
            self._writer.abort()
            raise TransactionAborted(f"a batch of {len(records)} records was taken back: {error.cause}") from error

    def close(self) -> None:
        """Give the connection back."""
        self._writer.close()


class AtLeastOnce:
    """For groups whose output is idempotent elsewhere (a database): dead letters first, then the offsets."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def publish(self, records: Sequence[Outgoing], offsets: Offsets, reader: GroupReader) -> None:
        """Write what there is to write, then commit: a crash in between repeats, and repeats carry the same ids."""
        if records:
            self._writer.write(records)
        reader.commit(offsets)

    def close(self) -> None:
        """Give the connection back."""
        with suppress(KafkaDown):
            self._writer.close()
