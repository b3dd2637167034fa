"""Memory that begins at a page: what O_DIRECT writes from."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager

#: What a disk writes at least, and where memory for it begins (bytes).
BLOCK_BYTES = 4096
#: What is written at a time (bytes): smaller pieces cost more of the processor, larger ones memory.
PIECE_BYTES = 1024 * 1024
#: Pieces that are kept for the next image (count).
_MOST_KEPT = 16


class Buffers:
    """Pieces of aligned memory, used again and again. Thread-safe: a list's append and pop are."""

    def __init__(self) -> None:
        self._kept: list[memoryview] = []

    def take(self) -> memoryview:
        """Give a piece; what stands in it is of others."""
        try:
            return self._kept.pop()
        except IndexError:
            return memoryview(mmap.mmap(-1, PIECE_BYTES))

    def give_back(self, room: memoryview) -> None:
        """Give a piece back."""
        if len(self._kept) < _MOST_KEPT:
            self._kept.append(room)

    @contextmanager
    def lent(self) -> Iterator[memoryview]:
        """Lend a piece for a moment."""
        room = self.take()
        try:
            yield room
        finally:
            self.give_back(room)
