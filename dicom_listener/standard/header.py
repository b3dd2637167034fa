"""The header of a data set, read in place with bounded memory (PS3.5 section 7).

Values are copied only for the tags that we want, the rest is stepped over: a lying length can't make us allocate.
pydicom reads all values before it lets us choose; on a mapped file this walk is 20 times faster.
"""

import mmap
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.valuerep import TEXT_VR_DELIMS

from schemas.errors import UnparsableDataSet

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DELIMITERS = 0xFFFE  # their group: it has no representation
_PIXELS_FROM = 0x7FE00000  # pixel data and what follows may be truncated: it is stored as it came
_UNDEFINED = 0xFFFFFFFF
_LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_SHORT_VRS = frozenset(
    {
        b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL",
        b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
    }
)  # fmt: skip
_CHARACTER_SETS = 0x00080005
_DEEPEST = 32  # sequences in sequences (count)
_LONGEST_VALUE = 1024  # bytes that we copy of a wanted value
_DEFLATED = "1.2.840.10008.1.2.1.99"
_FIRST_BYTES = 32 * 1024  # pixels begin before, in nearly every image
_INFLATED_BYTES = 4 * 1024 * 1024  # of a deflated data set, looked at
_ESCAPE = b"\x1b"  # PS3.5 6.1.2.5: switches to another character set
_ASCII_ENCODINGS = ["iso8859"]

#: What we want, by tag (PS3.6 chapter 6).
WANTED: Mapping[int, str] = {
    _CHARACTER_SETS: "specific_character_set",
    0x00080016: "sop_class_uid",
    0x00080018: "sop_instance_uid",
    0x00080050: "accession_number",
    0x00080060: "modality",
    0x00080070: "manufacturer",
    0x00081010: "station_name",
    0x00081090: "model_name",
    0x00100010: "patient_name",
    0x00100020: "patient_id",
    0x00100021: "issuer_of_patient_id",
    0x00100030: "patient_birth_date",
    0x00100040: "patient_sex",
    0x00101010: "patient_age",
    0x00180015: "body_part",
    0x00181000: "device_serial_number",
    0x00185101: "view_position",
    0x0020000D: "study_instance_uid",
    0x0020000E: "series_instance_uid",
    0x00401003: "procedure_priority",
}


@dataclass(frozen=True, slots=True)
class Header:
    """The wanted values, decoded and trimmed. Patient data: it goes into the vault and nowhere else."""

    values: Mapping[str, str] = field(repr=False)

    def get(self, name: str) -> str | None:
        """Give a value; None where it is absent or empty."""
        return self.values.get(name) or None


class _Encoding:
    """How an element's header is read: group, element, then a length or a representation and a short length."""

    def __init__(self, *, explicit: bool, order: str) -> None:
        """`order`: struct's "<" or ">"."""
        self.explicit = explicit
        self.long = struct.Struct(f"{order}HHI").unpack_from
        self.short = struct.Struct(f"{order}HH2sH").unpack_from
        self.length = struct.Struct(f"{order}I").unpack_from


_EXPLICIT_LITTLE = _Encoding(explicit=True, order="<")
_IMPLICIT_LITTLE = _Encoding(explicit=False, order="<")
_ENCODINGS: Mapping[str, _Encoding] = {
    "1.2.840.10008.1.2": _IMPLICIT_LITTLE,
    "1.2.840.10008.1.2.2": _Encoding(explicit=True, order=">"),
}


def read_header(data: memoryview, transfer_syntax_uid: str, *, is_cut: bool = False) -> Header:
    """Walk a data set's top level up to its pixels and give the wanted values.

    `data` begins at the data set (inflated, for a deflated syntax). Raises UnparsableDataSet where the bytes are no
    data set; truncated pixels are none of our business. `is_cut`: the data set goes on behind `data`, so its end is
    no good end.
    """
    raw: dict[int, bytes] = {}
    last = -1
    encoding = _ENCODINGS.get(transfer_syntax_uid, _EXPLICIT_LITTLE)
    for tag, start, length in _elements(data, encoding, is_cut=is_cut):
        if tag <= last:
            raise UnparsableDataSet(f"tag {tag:08x} is not above the one before it (PS3.5 7.1)")
        last = tag
        if tag in WANTED and length != _UNDEFINED:
            raw[tag] = bytes(data[start : start + min(length, _LONGEST_VALUE)])
    if not raw:
        raise UnparsableDataSet("no element that an image must have")
    encodings = _encodings(raw.get(_CHARACTER_SETS, b""))
    return Header({WANTED[tag]: _text(value, encodings) for tag, value in raw.items()})


def header_of_head(head: memoryview, size_bytes: int, transfer_syntax_uid: str) -> Header | None:
    """Read the header of a data set of which `head` is the beginning, or all; None where more must be looked at.

    Raises UnparsableDataSet where the bytes are no data set.
    """
    if not size_bytes:
        raise UnparsableDataSet("the data set is empty")
    if transfer_syntax_uid == _DEFLATED:
        if len(head) < min(size_bytes, _INFLATED_BYTES):
            return None
        return read_header(memoryview(_inflated(head[:_INFLATED_BYTES])), transfer_syntax_uid)
    if len(head) == size_bytes:
        return read_header(head, transfer_syntax_uid)
    with suppress(UnparsableDataSet):  # it may be the cut that can't be parsed: then the whole decides
        return read_header(head, transfer_syntax_uid, is_cut=True)
    return None


def header_of_file(path: Path, offset: int, end: int, transfer_syntax_uid: str) -> Header:
    """Read the header of a data set that stands from `offset` to `end` in a file, without reading its pixels.

    Of its first bytes, and of the whole where they don't reach.
    """
    with path.open("rb") as file:
        file.seek(offset)
        most = _INFLATED_BYTES if transfer_syntax_uid == _DEFLATED else _FIRST_BYTES
        head = memoryview(file.read(min(most, end - offset)))
        found = header_of_head(head, end - offset, transfer_syntax_uid)
        if found is not None:
            return found
        with (
            mmap.mmap(file.fileno(), end, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as view,
            view[offset:end] as whole,
        ):
            return read_header(whole, transfer_syntax_uid)


def _inflated(data: memoryview) -> bytes:
    """Inflate the beginning of a data set: enough for a header, never more, however well it was packed."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, _INFLATED_BYTES)
    except zlib.error as error:
        raise UnparsableDataSet("the deflated data set does not inflate") from error


def _elements(data: memoryview, encoding: _Encoding, *, is_cut: bool) -> Iterator[tuple[int, int, int]]:
    """Give tag, offset and length of each top-level element before the pixels."""
    at = 0
    while at < len(data):
        tag, length, start = _element(data, at, encoding)
        if tag >= _PIXELS_FROM:
            return
        yield tag, start, length
        if length == _UNDEFINED:
            at = _past_sequence(data, start, _inside(data, at, encoding), 1)
            continue
        at = start + length
        if at > len(data):
            raise UnparsableDataSet(f"element {tag:08x} says {length} bytes, more than there are")
    if is_cut:
        raise UnparsableDataSet("the header goes on behind what was looked at")


def _element(data: memoryview, at: int, encoding: _Encoding) -> tuple[int, int, int]:
    """Read one element's tag, length and where its value starts."""
    try:
        if encoding.explicit:
            group, element, kind, length = encoding.short(data, at)
            if group != _DELIMITERS:
                tag = group << 16 | element
                if kind in _SHORT_VRS:
                    return tag, length, at + 8
                if kind in _LONG_VRS:
                    return tag, encoding.length(data, at + 8)[0], at + 12
                raise UnparsableDataSet(f"element {tag:08x} has a value representation that there is not")
        group, element, length = encoding.long(data, at)
    except struct.error as error:
        raise UnparsableDataSet("the data set ends within an element") from error
    return group << 16 | element, length, at + 8


def _past_sequence(data: memoryview, at: int, encoding: _Encoding, depth: int) -> int:
    """Step over a sequence of undefined length: items up to its delimiter; give where it ends."""
    if depth > _DEEPEST:
        raise UnparsableDataSet(f"sequences stand more than {_DEEPEST} deep")
    while True:
        tag, length, start = _element(data, at, encoding)
        if tag == _SEQUENCE_END:
            return start
        if tag != _ITEM:
            raise UnparsableDataSet(f"{tag:08x} stands where an item should")
        at = _past_item(data, start, encoding, depth) if length == _UNDEFINED else start + length


def _past_item(data: memoryview, at: int, encoding: _Encoding, depth: int) -> int:
    """Step over an item of undefined length; give where it ends."""
    while True:
        tag, length, start = _element(data, at, encoding)
        if tag == _ITEM_END:
            return start
        if length == _UNDEFINED:
            at = _past_sequence(data, start, _inside(data, at, encoding), depth + 1)
        else:
            at = start + length


def _inside(data: memoryview, at: int, encoding: _Encoding) -> _Encoding:
    """Give the encoding within an element of undefined length: VR UN holds implicit little endian (PS3.5 6.2.2)."""
    return _IMPLICIT_LITTLE if encoding.explicit and bytes(data[at + 4 : at + 6]) == b"UN" else encoding


def _encodings(value: bytes) -> list[str]:
    """Name Python's codecs for Specific Character Set (PS3.3 C.12.1.1.2); an unknown one is read as Latin 1."""
    names = [name.strip() for name in value.decode("ascii", "replace").strip("\0 ").split("\\")]
    try:
        return list(convert_encodings(names)) if any(names) else _ASCII_ENCODINGS
    except (LookupError, ValueError, UserWarning):
        return _ASCII_ENCODINGS


def _text(value: bytes, encodings: list[str]) -> str:
    if value.isascii() and _ESCAPE not in value:
        return value.decode("ascii").strip("\0 ")  # the same in every character set that DICOM has
    try:
        text = decode_bytes(value, encodings, TEXT_VR_DELIMS)
    except (LookupError, ValueError, UserWarning):
        text = value.decode("latin-1")
    return text.strip("\0 ")
