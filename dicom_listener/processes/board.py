"""What the listener's processes know of each other while images arrive: a page of shared memory, without a server.

The parent makes it, its workers map it. Rates of senders are token buckets under a lock that the kernel takes back from
a process that dies; what arrives is a line of each worker's own, which nobody else writes.
"""

import fcntl
import mmap
import os
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: A worker's line: objects that are arriving (count), and when one last began or ended (monotonic, seconds).
_LINE = struct.Struct("=qd")
#: A bucket: its name, tokens, and when they were counted (monotonic, seconds).
_BUCKET = struct.Struct("=40sdd")
_NAME_BYTES = 40
#: Buckets stand in sets; in a full set the one that was used least recently gives way, which only forgets a debt.
_SETS, _WAYS = 128, 8
_BOOK_BYTES = _SETS * _WAYS * _BUCKET.size


class Board:
    """One process's view. Thread-safe. Clocks are monotonic: the same in every process of the machine."""

    def __init__(self, descriptor: int, processes: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`descriptor`: of `made`, kept open."""
        self._descriptor = descriptor
        self.processes = processes
        self._clock = clock
        self._memory = mmap.mmap(descriptor, _size(processes))
        self._guard = threading.Lock()

    @classmethod
    def made(cls, processes: int, clock: Callable[[], float] = time.monotonic) -> "Board":
        """Make an empty one, for the parent, or for a process that is alone."""
        descriptor = os.memfd_create("listener")
        os.ftruncate(descriptor, _size(processes))
        return cls(descriptor, processes, clock)

    def fileno(self) -> int:
        """Give the descriptor, for handing it to a child."""
        return self._descriptor

    def close(self) -> None:
        """Let the memory go."""
        self._memory.close()
        os.close(self._descriptor)

    def arriving(self, worker: int, objects: int, at: float) -> None:
        """Write a worker's line: how many objects are arriving, and when that changed."""
        _LINE.pack_into(self._memory, worker * _LINE.size, objects, at)

    def forget(self, worker: int) -> None:
        """Clear the line of a worker that is gone."""
        self.arriving(worker, 0, 0.0)

    def arrivals(self) -> tuple[int, float]:
        """Say how many objects are arriving, anywhere (count), and when one last began or ended."""
        lines = [_LINE.unpack_from(self._memory, worker * _LINE.size) for worker in range(self.processes)]
        return sum(objects for objects, _ in lines), max(at for _, at in lines)

    def take(self, name: str, tokens: float, per_second: float) -> float:
        """Take tokens of a sender's rate, which may be more than there are; give the wait before the next (seconds).

        A second's worth may be taken at once; all processes take from the same bucket.

        >>> board = Board.made(1, clock=lambda: 5.0)
        >>> board.take("CT1 images", 10, 10.0), board.take("CT1 images", 5, 10.0)
        (0.0, 0.5)
        >>> board.close()
        """
        key = name.encode()[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0")
        with self._locked():
            now = self._clock()
            place, left = self._bucket(key, now, per_second)
            left -= tokens
            _BUCKET.pack_into(self._memory, place, key, left, now)
        return max(0.0, -left / per_second)

    def _bucket(self, key: bytes, now: float, per_second: float) -> tuple[int, float]:
        """Find a bucket, or the place of one to be; give the tokens in it now."""
        first = self.processes * _LINE.size + zlib.crc32(key) % _SETS * _WAYS * _BUCKET.size
        oldest, oldest_seen = first, now
        for place in range(first, first + _WAYS * _BUCKET.size, _BUCKET.size):
            name, tokens, seen = _BUCKET.unpack_from(self._memory, place)
            if name == key:
                return place, min(per_second, tokens + (now - seen) * per_second)
            if seen < oldest_seen:
                oldest, oldest_seen = place, seen
        return oldest, per_second

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._guard:  # the kernel's lock is a process's, not a thread's
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


def _size(processes: int) -> int:
    return processes * _LINE.size + _BOOK_BYTES
