"""One segment: a file whose first block names its cycle, and that one image at a time writes to."""

import os
import secrets
import struct
from contextlib import suppress
from ctypes import CDLL, c_int64
from pathlib import Path

from radstream.spool.aligned import BLOCK_BYTES
from radstream.spool.names import Place

SEGMENT_BYTES = 32 * 1024 * 1024
SEGMENT = ".seg"
_LIBC = CDLL(None, use_errno=True)
_SECTOR_BYTES = 512  # stat(2): the unit of st_blocks
_PUNCH_HOLE = 0x02 | 0x01  # fallocate(2): and keep the size

_HEAD = struct.Struct(">8s4s")
_HEAD_MARK = b"RADSEGMT"


class Segment:
    """One segment, in the hands of one image or of nobody."""

    def __init__(self, path: str, *, direct: bool, new: bool) -> None:
        """Open a file; raise OSError."""
        self.path = path
        flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if new else 0) | (os.O_DIRECT if direct else 0)
        self._fd = os.open(path, flags, 0o600)
        self.allocated = os.fstat(self._fd).st_blocks * _SECTOR_BYTES
        self.cycle = b""
        self.end = BLOCK_BYTES  # behind its last record (bytes)

    @property
    def links(self) -> int:
        """How many names it has (count); 1 where no image needs it."""
        return os.fstat(self._fd).st_nlink

    def begin_cycle(self, room: memoryview) -> None:
        """Use it from the start: what it holds is worth nothing from here on. `room`: a block to write from."""
        self.cycle, self.end = secrets.token_bytes(4), BLOCK_BYTES
        room[:BLOCK_BYTES] = _HEAD.pack(_HEAD_MARK, self.cycle).ljust(BLOCK_BYTES, b"\0")
        self.write(room[:BLOCK_BYTES], 0)

    def end_cycle(self, room: memoryview) -> None:
        """Say that its records are worth nothing any more. `room` as above; raise OSError."""
        room[:BLOCK_BYTES] = bytes(BLOCK_BYTES)
        self.write(room[:BLOCK_BYTES], 0)

    def write(self, data: memoryview, at: int) -> None:
        """Write whole blocks from aligned memory; raise OSError."""
        taken = os.pwrite(self._fd, data, at)
        if taken < len(data):
            self.write(data[taken:], at + taken)

    def flush(self) -> None:
        """Make what was written durable; raise OSError."""
        os.fdatasync(self._fd)

    def trim(self) -> int:
        """Cut off what an image added beyond a segment's size; give what it still takes of the disk (bytes)."""
        if os.fstat(self._fd).st_size > SEGMENT_BYTES:
            os.ftruncate(self._fd, SEGMENT_BYTES)
        return os.fstat(self._fd).st_blocks * _SECTOR_BYTES

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def punch_out(name: str, place: Place) -> None:
    """Remove a name, then give its blocks back; a file system that can't keeps them until the segment is free."""
    with suppress(FileNotFoundError), open(name, "r+b") as file:  # noqa: PTH123 - plain strings
        Path(name).unlink()
        _LIBC.fallocate(file.fileno(), _PUNCH_HOLE, c_int64(place.start), c_int64(place.end - place.start))


def sync_folder(folder: Path) -> None:
    """Make a folder's names durable; raise OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def cycle_of(path: str) -> bytes | None:
    """Give the cycle of a segment; None for one that is a spare, and for a file that is none."""
    with suppress(OSError, struct.error), open(path, "rb") as file:  # noqa: PTH123 - plain strings
        mark, cycle = _HEAD.unpack(file.read(_HEAD.size))
        if mark == _HEAD_MARK:
            return bytes(cycle)
    return None
