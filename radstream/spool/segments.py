"""Segments: files of one size on the spool's disk that many images share, used again when no image needs them.

A file of its own would cost each image an inode, blocks and a commit of the file system's journal, and its bytes a
copy into the page cache. A record in a segment that was written before costs one write past the page cache (O_DIRECT)
and one fdatasync, which is the disk's flush and nothing else. Databases write their logs so.

A segment's first block names its cycle, which is new at each use: records of an earlier use don't count. Records
follow, each in whole blocks (`entry.py`). Each image has a hard link to its segment as its name, so the number
of links says how many images a segment still holds: with its own name alone it is a spare.

A segment is written by one image at a time. An image for which there is no room extends its segment, however large.
"""

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from radstream.spool.aligned import BLOCK_BYTES, PIECE_BYTES, Buffers
from radstream.spool.entry import translated
from radstream.spool.names import place_of
from radstream.spool.segment import SEGMENT, SEGMENT_BYTES, Segment, punch_out, sync_folder

#: Spares are neither made nor kept on a file system that is fuller than this (per cent).
_SPARE_UNTIL_PERCENT = 50.0
#: A segment is a spare worth keeping from this size on (bytes): a rest of it is allocated as it is written.
_SPARE_AT_LEAST = SEGMENT_BYTES // 2
#: Segments that wait half full for an image that fits; over this the one that waits longest gets no more (count).
_MOST_OPEN = 16


class Segments:
    """The segments of one slot. Thread-safe."""

    def __init__(self, folder: Path, spare_bytes: int) -> None:
        """`spare_bytes`: how much of the disk is kept allocated for images to come."""
        self._folder = folder
        self._most_spares = spare_bytes // SEGMENT_BYTES
        self.buffers = Buffers()
        self._guard = threading.Lock()
        self._direct = False
        self._open: list[Segment] = []  # the one that was used last is at the end
        self._full: set[str] = set()
        self._spares: list[str] = []
        self._expected_bytes = 0  # of the next image: as large as the last one

    def open(self) -> None:
        """Find what is there: spares, and segments that images still need; those get no more. Raises OSError."""
        self._direct = self._writes_directly()
        with os.scandir(self._folder) as found:
            self._full = {one.path for one in found if one.name.endswith(SEGMENT)}
        self.recycle()

    def close(self) -> None:
        """Close what is open."""
        with self._guard:
            for segment in self._open:
                segment.close()
            self._open.clear()

    @property
    def unused_bytes(self) -> int:
        """How much of the disk is kept for images to come, in spares and in segments with room."""
        with self._guard:
            return len(self._spares) * SEGMENT_BYTES + sum(max(0, one.allocated - one.end) for one in self._open)

    def lease(self) -> Segment:
        """Give a segment with room for an image as large as the last one; nobody else has it. Raises SpoolFull."""
        with self._guard:
            for number in reversed(range(len(self._open))):
                if self._open[number].end + self._expected_bytes <= SEGMENT_BYTES:
                    return self._open.pop(number)
            spare = self._spares.pop() if self._spares else None
        with translated("taking a segment"):
            return self._begun(spare)

    def give_back(self, segment: Segment, end: int | None = None, *, failed: bool = False) -> None:
        """Give a segment back; `end`: behind the record that was added, None for none.

        `failed`: the disk did not take what was written, so the next image is better off elsewhere.
        """
        with self._guard:
            if failed:
                self._close(segment)
                return
            if end is not None:
                self._expected_bytes = end - segment.end
                segment.end = end
            self._open.append(segment)
            while len(self._open) > _MOST_OPEN or (self._open and self._open[0].end >= SEGMENT_BYTES):
                self._close(self._open.pop(0))
            if segment.end >= SEGMENT_BYTES and segment in self._open:
                self._open.remove(segment)
                self._close(segment)

    def prepare(self) -> None:
        """Make the spares that are missing: written once, so that their blocks are there."""
        with suppress(OSError):  # images make their own room then
            while len(self._spares) < self._most_spares and self._is_roomy(SEGMENT_BYTES):
                path = self._fill(self._new_path())
                with self._guard:
                    self._spares.append(path)

    def purge(self, names: Sequence[str]) -> None:
        """Remove images by their names; raise OSError.

        Their room is used again when their whole segment is free; where the disk is filling it is given back at once.
        """
        roomy = self._is_roomy(0)
        for name in names:
            place = None if roomy else place_of(Path(name).name)
            if place is None:
                Path(name).unlink(missing_ok=True)
            else:
                punch_out(name, place)
        self.recycle()

    def recycle(self) -> None:
        """Make spares of the segments that no image needs any more; remove what would be too much."""
        with self._guard:
            for segment in [one for one in self._open if one.end > BLOCK_BYTES and one.links == 1]:
                self._open.remove(segment)
                self._close(segment)
            for path in list(self._full):
                self._recycle(path)

    def adopt(self, other: "Segments") -> None:
        """Take another slot's segments, spares not; nobody may use the other meanwhile. Raises OSError."""
        other.close()
        with os.scandir(other._folder) as found:  # noqa: SLF001 - one of our own class
            theirs = [(one.path, one.name, one.stat().st_nlink) for one in found if one.name.endswith(SEGMENT)]
        for path, name, links in theirs:
            if links == 1:
                Path(path).unlink()
                continue
            own = f"{self._folder}/{name}"
            os.rename(path, own)  # noqa: PTH104 - plain strings throughout
            with self._guard:
                self._full.add(own)

    def _begun(self, spare: str | None) -> Segment:
        segment = Segment(spare or self._new_path(), direct=self._direct, new=spare is None)
        try:
            with self.buffers.lent() as room:
                segment.begin_cycle(room)
            if spare is None:
                sync_folder(self._folder)
        except OSError:
            segment.close()
            Path(segment.path).unlink(missing_ok=True)
            raise
        return segment

    def _close(self, segment: Segment) -> None:
        segment.close()
        self._full.add(segment.path)

    def _recycle(self, path: str) -> None:
        with suppress(OSError):  # it is looked at again
            if os.stat(path).st_nlink > 1:  # noqa: PTH116 - plain strings
                return
            self._full.discard(path)
            segment = Segment(path, direct=self._direct, new=False)
            try:
                size = segment.trim()
                with self.buffers.lent() as room:
                    segment.end_cycle(room)
            finally:
                segment.close()
            if size >= _SPARE_AT_LEAST and len(self._spares) < self._most_spares and self._is_roomy(0):
                self._spares.append(path)
            else:
                Path(path).unlink()

    def _fill(self, path: str) -> str:
        segment = Segment(path, direct=self._direct, new=True)
        try:
            with self.buffers.lent() as room:
                room[:] = bytes(PIECE_BYTES)
                for at in range(0, SEGMENT_BYTES, PIECE_BYTES):
                    segment.write(room, at)
            segment.flush()
            sync_folder(self._folder)
        except OSError:
            Path(path).unlink(missing_ok=True)
            raise
        finally:
            segment.close()
        return path

    def _is_roomy(self, more_bytes: int) -> bool:
        found = os.statvfs(self._folder)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        total = used + found.f_bavail * found.f_frsize
        return 100.0 * (used + more_bytes) <= _SPARE_UNTIL_PERCENT * total

    def _writes_directly(self) -> bool:
        """Try whether the file system takes O_DIRECT in our blocks; without it all goes through the page cache."""
        path = self._new_path()
        try:
            segment = Segment(path, direct=True, new=True)
            try:
                with self.buffers.lent() as room:
                    segment.begin_cycle(room)
            finally:
                segment.close()
        except OSError:
            return False
        finally:
            with suppress(OSError):
                Path(path).unlink()
        return True

    def _new_path(self) -> str:
        return f"{self._folder}/{uuid4().hex}{SEGMENT}"
