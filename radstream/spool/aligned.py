"""Memory that begins at a page: what O_DIRECT writes from."""

import mmap
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: What a disk writes at least, and where memory for it begins (bytes).
BLOCK_BYTES = 4096
#: What is written at a time (bytes): smaller pieces cost more of the processor, larger ones memory.
PIECE_BYTES = 1024 * 1024
#: Pieces that are kept for the next image (count).
_MOST_KEPT = 48
#: Pieces of images that are whole in memory until they are stored, of all images together (count).
_MOST_HELD = 48
#: And of one image: a longer one is read back (count).
_MOST_OF_ONE = 16


class Buffers:
    """Pieces of aligned memory, used again and again. Thread-safe: a list's append and pop are."""

    def __init__(self) -> None:
        self._kept: list[memoryview] = []
        self._holds = threading.Semaphore(_MOST_HELD)

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

    def hold(self) -> bool:
        """Say whether one more piece may be kept after it was written; `release` must follow."""
        return self._holds.acquire(blocking=False)

    def release(self, count: int) -> None:
        """Note that so many pieces are held no more."""
        if count:
            self._holds.release(count)

    @contextmanager
    def lent(self) -> Iterator[memoryview]:
        """Lend a piece for a moment."""
        room = self.take()
        try:
            yield room
        finally:
            self.give_back(room)


class Held:
    """An object's bytes that are still in memory, until `free`."""

    def __init__(self, buffers: Buffers) -> None:
        self._buffers = buffers
        self._rooms: list[memoryview] = []
        self.pieces: list[memoryview] = []

    def add(self, room: memoryview, count: int) -> bool:
        """Take over a piece, whose first `count` bytes are the object's next; False, and it stays the caller's."""
        if len(self._rooms) >= _MOST_OF_ONE or not self._buffers.hold():
            return False
        self._rooms.append(room)
        self.pieces.append(room[:count])
        return True

    def free(self) -> None:
        """Give the memory back for the next image; nobody may be using it."""
        for room in self._rooms:
            self._buffers.give_back(room)
        self.drop()

    def drop(self) -> None:
        """Give the memory back to the machine: the image is too long to be held, and what stores it needs its own."""
        self._buffers.release(len(self._rooms))
        self._rooms, self.pieces = [], []
