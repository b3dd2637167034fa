"""One image of the spool: its record, which is the object and its note, and the entry that stands for it.

A record in a segment: the Part 10 object, zeros, the note as JSON, and a footer of 20 bytes: the segment's cycle, the
record's length in blocks, the note's length (big endian) and a mark. It fills whole blocks, so the footer is found
at the end of one. A file of its own, of releases before segments: object, note, and the footer's last two fields.
"""

import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Self

from radstream.spool.aligned import BLOCK_BYTES
from radstream.spool.names import Place, place_of
from schemas.errors import SpoolFull
from schemas.identity import data_set_hasher
from schemas.words import Lane

_FOOTER = struct.Struct(">I8s")
_RECORD = struct.Struct(">4sI")  # what stands before it in a segment
_MARK = b"RADSPOOL"
#: Of a record, behind its note (bytes).
FOOTER_BYTES = _RECORD.size + _FOOTER.size
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
        """Write what stands behind the object; `doubted` stands in the entry's name."""
        values = {name: getattr(self, name) for name in _WRITTEN}
        return json.dumps({**values, "received_at": self.received_at.isoformat()}).encode()

    @classmethod
    def of_file(cls, path: Path, *, doubted: bool = False) -> Self:
        """Read an entry's note; raise Torn where there is none, FileNotFoundError where there is no file."""
        place = place_of(path.stem)
        with path.open("rb") as file:
            end = file.seek(0 if place is None else place.end, os.SEEK_END if place is None else os.SEEK_SET)
            behind, text = _read_back(file, end, place)
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
        if note.size_bytes > behind or (place is None and note.size_bytes != behind):
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
        """The entry's own name: it says nothing of the patient."""
        return self.path.stem

    @property
    def data_set(self) -> tuple[int, int]:
        """Where the data set stands in the file: its first byte and the one behind its last (offsets)."""
        place = place_of(self.name)
        start = place.start if place else 0
        return start + self.note.data_set_offset, start + self.note.size_bytes

    def open(self) -> BinaryIO:
        """Open the file for reading, at the object: the next `note.size_bytes` are its own. Raises SpoolFull."""
        with translated("reading an image back"):
            file = self.path.open("rb")
            file.seek(self.data_set[0] - self.note.data_set_offset)
            return file

    def is_whole(self) -> bool:
        """Say whether the data set's bytes are those that were received: read and hash them all."""
        hasher = data_set_hasher(self.note.transfer_syntax_uid)
        with self.open() as file, translated("reading an image back"):
            file.seek(self.data_set[0])
            left = self.note.size_bytes - self.note.data_set_offset
            while left and (data := file.read(min(left, _CHUNK_BYTES))):
                hasher.update(data)
                left -= len(data)
        return hasher.hexdigest() == self.note.sha256


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn a disk that is full, read-only or broken into SpoolFull: nothing durable is possible."""
    try:
        yield
    except OSError as error:
        raise spool_full(what, error) from error


def spool_full(what: str, error: OSError) -> SpoolFull:
    """Give the error for a disk that does not do what the spool needs."""
    return SpoolFull(f"{what} failed in the spool (errno {error.errno}); see RADSTREAM_SPOOL_DIR")


def footer(cycle: bytes, blocks: int, note_bytes: int) -> bytes:
    """Write what ends a record of so many blocks in a segment."""
    return _RECORD.pack(cycle, blocks) + _FOOTER.pack(note_bytes, _MARK)


def place_before(end: int, last: bytes, cycle: bytes) -> Place | None:
    """Give the place of the record that ends at `end`, a block's end whose last bytes are `last`; None for none."""
    found, blocks = _RECORD.unpack_from(last)
    length, mark = _FOOTER.unpack_from(last, _RECORD.size)
    start = end - blocks * BLOCK_BYTES
    if (found, mark) != (cycle, _MARK) or start < BLOCK_BYTES or length > _LONGEST_NOTE:
        return None
    return Place(cycle.hex(), start, end)


def _read_back(file: BinaryIO, end: int, place: Place | None) -> tuple[int, bytes]:
    """Read a note that ends before `end`; give how many bytes stand before it in its record, and its text."""
    size = _FOOTER.size if place is None else FOOTER_BYTES
    file.seek(max(0, end - size))
    last = file.read(size)
    if len(last) < size:
        raise Torn
    length, mark = _FOOTER.unpack_from(last, size - _FOOTER.size)
    start = 0 if place is None else place.start
    behind = end - size - length - start
    if mark != _MARK or length > _LONGEST_NOTE or behind < 0:
        raise Torn
    if place is not None and place_before(end, last, bytes.fromhex(place.cycle)) != place:
        raise Torn
    file.seek(start + behind)
    return behind, file.read(length)
