"""An image whose bytes are arriving: from the socket into aligned memory, through its hash, onto the disk."""

import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from radstream.spool.aligned import BLOCK_BYTES, PIECE_BYTES, Held
from radstream.spool.aside import Aside
from radstream.spool.entry import FOOTER_BYTES, Note, footer, spool_full, translated
from radstream.spool.names import Place
from radstream.spool.segment import Segment
from radstream.spool.segments import Segments

#: What is kept of a large image's beginning, for those who look at its header (bytes).
HEAD_BYTES = 64 * 1024


class Hasher(Protocol):
    """What a data set's bytes go through."""

    def update(self, data: memoryview, /) -> None:
        """Take the next bytes."""


class Incoming:
    """An image whose bytes are arriving: memory does not grow with it. Not thread-safe.

    Bytes are put where `room` says, then `took` counts them; a whole piece is written and hashed, at once or aside.
    """

    def __init__(  # noqa: PLR0913 - what its bytes go through
        self,
        segments: Segments,
        part: str,
        head: bytes = b"",
        hasher: Hasher | None = None,
        *,
        holds: bool = False,
        aside: Aside | None = None,
    ) -> None:
        """`part`: its name meanwhile; `head`: what stands before the data set, which `hasher` does not see.

        `holds`: keep its bytes in memory, while there is room for them, until `held` is freed. `aside`: who writes
        and hashes its whole pieces. Raises SpoolFull.
        """
        self._segments = segments
        self._hasher = hasher
        self._aside = aside or Aside()
        self._segment: Segment | None = segments.lease()
        self._path = part
        try:
            with translated("naming an image"):
                os.link(self._segment.path, part)
        except BaseException:
            segments.give_back(self._segment)
            raise
        self._piece = segments.buffers.take()
        self._at = self._segment.end  # where the piece belongs in the file
        self._piece[: len(head)] = head
        self._used = self._hashed = self.size_bytes = len(head)  # of the piece; of the whole
        self._head: memoryview | None = None
        self._failed = False
        #: All that has arrived, still in memory; None where it is not. Whoever commits the image frees it.
        self.held = Held(segments.buffers) if holds else None

    @property
    def room(self) -> memoryview:
        """Where the next bytes may be put: there is always room for one."""
        return self._piece[self._used :]

    def took(self, count: int) -> None:
        """Count bytes that were put into the room; raise SpoolFull when the disk takes no more."""
        self._used += count
        self.size_bytes += count
        if self._used == PIECE_BYTES:
            self._pass_on(PIECE_BYTES)

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes; raise SpoolFull when the disk takes no more."""
        left = memoryview(data)
        while left:
            room = self.room
            count = min(len(room), len(left))
            room[:count] = left[:count]
            self.took(count)
            left = left[count:]

    def hash_rest(self) -> None:
        """Let the hasher see what it has not seen: the data set is complete. Raises SpoolFull."""
        self._aside.settle()
        self._hash(self._piece[self._hashed : self._used])
        self._hashed = self._used

    @property
    def head(self) -> memoryview:
        """What stands at its beginning: all of it while that is in memory, else HEAD_BYTES."""
        return self._piece[: self._used] if self._head is None else self._head

    def settle(self) -> tuple[Path, int]:
        """Have the file hold all that has arrived; give its name and where the image begins. Raises SpoolFull."""
        self._aside.settle()
        blocks = -(-self._used // BLOCK_BYTES)
        self._write(self._piece[: blocks * BLOCK_BYTES], self._at)
        return Path(self._path), self._held.end

    def seal(self, note: Note) -> Place:
        """Write its note behind it and end its record; give its place. Raises SpoolFull."""
        segment, text = self._held, note.to_bytes()
        tail = len(text) + FOOTER_BYTES
        if self._used + tail > PIECE_BYTES:
            self._pass_on(self._used // BLOCK_BYTES * BLOCK_BYTES)
        end = -(-(self._used + tail) // BLOCK_BYTES) * BLOCK_BYTES
        blocks = (self._at + end - segment.end) // BLOCK_BYTES
        self._piece[self._used : end - tail] = bytes(end - tail - self._used)
        self._piece[end - tail : end] = text + footer(segment.cycle, blocks, len(text))
        self._write(self._piece[:end], self._at)
        return Place(segment.cycle.hex(), segment.end, self._at + end)

    def flush(self) -> None:
        """Make its record durable (fdatasync); raise SpoolFull."""
        self._aside.settle()
        try:
            self._held.flush()
        except OSError as error:
            self._failed = True
            raise spool_full("fdatasync", error) from error

    def rename(self, path: str) -> None:
        """Give it its name as an entry; raise SpoolFull."""
        with translated("renaming"):
            os.rename(self._path, path)  # noqa: PTH104 - plain strings: an image's path costs half
        self._path = path

    def close(self, place: Place) -> None:
        """Give the segment back with the record in it; the name stays."""
        if self._hold(self._used):
            self._piece = memoryview(b"")
        self._give_back(place.end)

    def discard(self) -> None:
        """Forget the image: nothing is left of it."""
        with suppress(FileNotFoundError):
            os.unlink(self._path)  # noqa: PTH108 - as above
        self._give_back(None)

    @property
    def _held(self) -> Segment:
        assert self._segment is not None  # noqa: S101 - for the type checker: nobody writes to a closed image
        return self._segment

    def _give_back(self, end: int | None) -> None:
        if self._segment is None:
            return
        self._aside.give_up()
        segment, self._segment = self._segment, None
        self._segments.give_back(segment, end, failed=self._failed)
        if self._piece:
            self._segments.buffers.give_back(self._piece)
        if end is None and self.held is not None:
            self.held.free()

    def _pass_on(self, count: int) -> None:
        """Write the first `count` bytes of the piece, whole blocks, hash what is in it, and keep the rest."""
        if self._head is None:
            self._head = memoryview(bytes(self._piece[:HEAD_BYTES]))
        buffers, piece, left = self._segments.buffers, self._piece, self._used - count
        jobs = (
            partial(self._write, piece[:count], self._at),
            partial(self._hash, piece[self._hashed : self._used]),
        )
        if self._hold(count):
            self._piece = buffers.take()
            self._aside.do(jobs)
        elif self._aside.do(jobs, partial(buffers.give_back, piece)):
            self._piece = buffers.take()
        self._piece[:left] = piece[count : self._used]
        self._at += count
        self._used = self._hashed = left

    def _hold(self, count: int) -> bool:
        """Keep the piece, of which the object has `count` bytes, if the whole object may be kept."""
        if self.held is not None and not self.held.add(self._piece, count):
            self.held.drop()
            self.held = None
        return self.held is not None

    def _hash(self, data: memoryview) -> None:
        if self._hasher is not None:
            self._hasher.update(data)

    def _write(self, data: memoryview, at: int) -> None:
        try:
            self._held.write(data, at)
        except OSError as error:
            self._failed = True
            raise spool_full("writing", error) from error
