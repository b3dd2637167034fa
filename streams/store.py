"""A Faust table as one partition sees it: what is written goes to that partition of the changelog.

Faust takes the partition from the event that is being handled; here it is said outright, so that each key is recovered
where it was written, whichever topic's record caused the write.
"""

from collections.abc import Iterator, MutableMapping

from faust.types import TableT


class PartitionStore(MutableMapping[bytes, bytes]):
    """One partition's entries of a table, among those of the others: who reads looks at the partition in the key."""

    def __init__(self, table: TableT[bytes, bytes], partition: int) -> None:
        self._table = table
        self._partition = partition

    def __getitem__(self, key: bytes) -> bytes:
        return self._table.data[key]

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._table.send_changelog(self._partition, key, value)
        self._table.data[key] = value

    def __delitem__(self, key: bytes) -> None:
        self._table.send_changelog(self._partition, key, None)
        del self._table.data[key]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._table.data)

    def __len__(self) -> int:
        return len(self._table.data)
