"""One image of the spool: its bytes as they arrive, its note, and the entry that both become.

The file: the Part 10 object, the note as JSON, and a footer of 12 bytes: the note's length (big endian) and a mark.
"""

import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Self

from schemas.errors import SpoolFull
from schemas.identity import data_set_hasher
from schemas.words import Lane

_FOOTER = struct.Struct(">I8s")
_MARK = b"RADSPOOL"
_LONGEST_NOTE = 64 * 1024  # bytes
_CHUNK_BYTES = 1024 * 1024


class Torn(Exception):
    """A file of the spool that is no whole image: its fsync had not ended when the machine went down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What the file itself doesn't say: who sent it, to which lane and site it goes, what its hash is.

    Identifiers stand in the file and in this note; the folder is private (mode 0700).
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    calling_ae: str
    called_ae: str
    lane: Lane
    site: str
    received_at: datetime
    sha256: str
    size_bytes: int
    data_set_offset: int
    doubted: bool = False  # the machine went down: what servers answered before may be gone

    def to_bytes(self) -> bytes:
        """Write what stands behind the object in its file; `doubted` stands in the file's name."""
        values = {name: getattr(self, name) for name in _WRITTEN}
        text = json.dumps({**values, "received_at": self.received_at.isoformat()}).encode()
        return text + _FOOTER.pack(len(text), _MARK)

    @classmethod
    def of_file(cls, path: Path, *, doubted: bool = False) -> Self:
        """Read a file's note; raise Torn where there is none, FileNotFoundError where there is no file."""
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - _FOOTER.size))
            footer = file.read(_FOOTER.size)
            length, mark = _FOOTER.unpack(footer) if len(footer) == _FOOTER.size else (0, b"")
            start = end - _FOOTER.size - length
            if mark != _MARK or length > _LONGEST_NOTE or start < 0:
                raise Torn
            file.seek(start)
            text = file.read(length)
        try:
            values = json.loads(text)
            note = cls(
                **{
                    **values,
                    "lane": Lane(values["lane"]),
                    "received_at": datetime.fromisoformat(values["received_at"]),
                    "doubted": doubted,
                }
            )
        except (ValueError, KeyError, TypeError) as error:
            raise Torn from error
        if note.size_bytes != start:
            raise Torn
        return note


_WRITTEN = tuple(one.name for one in fields(Note) if one.name != "doubted")


@dataclass(frozen=True, slots=True)
class Entry:
    """An image that is durable in the spool."""

    path: Path
    note: Note

    @property
    def name(self) -> str:
        """The entry's own name: random, tells nothing."""
        return self.path.stem

    def open(self) -> BinaryIO:
        """Open the file for reading: the first `note.size_bytes` are the object. Raises SpoolFull."""
        with translated("reading an image back"):
            return self.path.open("rb")

    def is_whole(self) -> bool:
        """Say whether the data set's bytes are those that were received: read and hash them all."""
        hasher = data_set_hasher(self.note.transfer_syntax_uid)
        with self.open() as file, translated("reading an image back"):
            file.seek(self.note.data_set_offset)
            left = self.note.size_bytes - self.note.data_set_offset
            while left and (data := file.read(min(left, _CHUNK_BYTES))):
                hasher.update(data)
                left -= len(data)
        return hasher.hexdigest() == self.note.sha256


class Incoming:
    """An image whose bytes are arriving. Memory does not grow with it. Not thread-safe."""

    def __init__(self, path: str) -> None:
        self._path = path
        with translated("opening a file"):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self.size_bytes = 0

    def fileno(self) -> int:
        """Give the descriptor, for those who read back what has arrived."""
        return self._fd

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes; raise SpoolFull when the disk takes no more."""
        try:
            taken = os.write(self._fd, data)
        except OSError as error:
            raise _full("writing", error) from error
        self.size_bytes += taken
        if taken < len(data):
            self.write(memoryview(data)[taken:])

    def seal(self, note: Note) -> None:
        """Write the note behind the object; raise SpoolFull."""
        size_bytes = self.size_bytes
        self.write(note.to_bytes())
        self.size_bytes = size_bytes

    def rename(self, path: str) -> None:
        """Give the file its name as an entry; raise SpoolFull."""
        with translated("renaming"):
            os.rename(self._path, path)  # noqa: PTH104 - plain strings: an image's path costs half
        self._path = path

    def flush(self) -> None:
        """Make the bytes durable (fsync)."""
        with translated("fsync"):
            os.fsync(self._fd)

    def close(self) -> None:
        """Close the file; the name stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        """Forget the image: no file is left."""
        self.close()
        with suppress(FileNotFoundError):
            os.unlink(self._path)  # noqa: PTH108 - as above


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn a disk that is full, read-only or broken into SpoolFull: nothing durable is possible."""
    try:
        yield
    except OSError as error:
        raise _full(what, error) from error


def _full(what: str, error: OSError) -> SpoolFull:
    return SpoolFull(f"{what} failed in the spool (errno {error.errno}); see RADSTREAM_SPOOL_DIR")
