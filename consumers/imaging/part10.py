"""A Part 10 file in memory, parsed with bounds: transfer syntax and data set (PS3.10 7, PS3.5 A)."""

import logging
import struct
import zlib
from dataclasses import dataclass
from io import SEEK_CUR, SEEK_END, SEEK_SET
from typing import BinaryIO, cast

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag

from schemas.errors import NotEvaluable
from schemas.words import Reason

PREAMBLE = 128
MAGIC = b"DICM"
#: A data set that inflates beyond this is an attack or no radiograph (bytes).
MAX_INFLATED_BYTES = 512 * 1024 * 1024
#: File meta beyond this is no file meta (bytes).
MAX_META_BYTES = 64 * 1024

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

# pydicom quotes element values in its log, and without a handler Python prints them to standard error.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

#: PS3.5 7.1.2: these value representations have two reserved bytes and a length of four.
LONG_FORM = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
GROUP_LENGTH = (0x0002, 0x0000)
TRANSFER_SYNTAX = (0x0002, 0x0010)


#: Length of an element that ends with a delimiter instead (PS3.5 7.1.1).
UNDEFINED = 0xFFFFFFFF
PIXEL_DATA = Tag(0x7FE0, 0x0010)


@dataclass(frozen=True, slots=True)
class PixelElement:
    """The pixel data as they lie in the file, not copied. `data` runs to the file's end when they are encapsulated."""

    is_words: bool
    is_encapsulated: bool
    data: memoryview


@dataclass(frozen=True, slots=True)
class Part10:
    """A parsed file. `dataset` holds what comes before the pixels, as it came: its values may still lie."""

    transfer_syntax_uid: str
    dataset: Dataset
    pixels: PixelElement | None


def transfer_syntax_of(part10: bytes | memoryview) -> tuple[str, int]:
    """Return the transfer syntax UID and the offset of the data set; raises NotEvaluable (undecodable)."""
    head = bytes(part10[: PREAMBLE + len(MAGIC) + MAX_META_BYTES])
    if head[PREAMBLE : PREAMBLE + len(MAGIC)] != MAGIC:
        raise NotEvaluable(Reason.UNDECODABLE, "no Part 10 file")
    syntax, at = "", PREAMBLE + len(MAGIC)
    try:
        while at + 8 <= len(head) and head[at : at + 2] == b"\x02\x00":
            tag = struct.unpack_from("<HH", head, at)
            if head[at + 4 : at + 6] in LONG_FORM:
                start, length = at + 12, struct.unpack_from("<I", head, at + 8)[0]
            else:
                start, length = at + 8, struct.unpack_from("<H", head, at + 6)[0]
            if tag == TRANSFER_SYNTAX:
                syntax = head[start : start + length].rstrip(b"\0 ").decode("ascii")
            at = start + length
    except (struct.error, UnicodeDecodeError) as error:
        raise NotEvaluable(Reason.UNDECODABLE, "file meta can't be parsed") from error
    if not syntax:
        raise NotEvaluable(Reason.UNDECODABLE, "file meta names no transfer syntax")
    return syntax, at


def inflate(deflated: bytes | memoryview) -> bytes:
    """Inflate a raw deflate stream up to `MAX_INFLATED_BYTES`; raises NotEvaluable (undecodable) when cut or larger."""
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(deflated, MAX_INFLATED_BYTES)
    except zlib.error as error:
        raise NotEvaluable(Reason.UNDECODABLE, "deflated data set is damaged") from error
    if not inflater.eof:
        raise NotEvaluable(Reason.UNDECODABLE, "deflated data set is cut or too large")
    return data


class _View:
    """A file over memory, of which only what is read is copied: the pixels never are."""

    def __init__(self, body: memoryview) -> None:
        self._body = body
        self._at = 0

    def read(self, size: int | None = None) -> bytes:
        """Read `size` bytes, fewer at the end; all that is left without a size."""
        end = len(self._body) if size is None or size < 0 else min(self._at + size, len(self._body))
        found = bytes(self._body[self._at : end])
        self._at = max(self._at, end)
        return found

    def tell(self) -> int:
        """Say where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Go to another place."""
        origin = {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: len(self._body)}[whence]
        self._at = max(0, origin + offset)
        return self._at


def read_part10(part10: bytes | memoryview) -> Part10:
    """Parse a whole file up to its pixels; raises NotEvaluable (undecodable) when it can't be."""
    syntax, start = transfer_syntax_of(part10)
    body = memoryview(part10)
    if syntax == DEFLATED:
        body, start = memoryview(inflate(body[start:])), 0
    data = _View(body)
    data.seek(start)
    try:
        dataset = read_dataset(
            cast("BinaryIO", data), syntax == IMPLICIT_LITTLE, syntax != EXPLICIT_BIG, stop_when=_at_pixels
        )
        pixels = _pixel_element(body[data.tell() :], syntax)
        if pixels is None:
            _check_end(dataset, len(body))
        return Part10(syntax, dataset, pixels)
    except NotEvaluable:
        raise
    # pydicom's parser raises whatever its damaged input leads to (struct, key, value, memory and its own errors);
    # each of them means the same to us, and the next image must be decoded.
    except Exception as error:
        raise NotEvaluable(Reason.UNDECODABLE, f"data set can't be parsed ({type(error).__name__})") from error


def _at_pixels(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return bool(tag == PIXEL_DATA)


def _check_end(dataset: Dataset, size: int) -> None:
    """Raise when a file without pixels doesn't end where its last element does: pydicom says nothing of a cut."""
    last = dataset.get_item(max(dataset.keys())) if dataset else None
    whole = last is not None and (not isinstance(last, RawDataElement) or last.value_tell + last.length == size)
    if not whole:
        raise NotEvaluable(Reason.UNDECODABLE, "data set is cut")


def _pixel_element(rest: memoryview, syntax: str) -> PixelElement | None:
    """Read the header of the pixel data where the parser stopped; None where the file ended before any."""
    if not len(rest):
        return None
    order = ">" if syntax == EXPLICIT_BIG else "<"
    implicit = syntax == IMPLICIT_LITTLE
    header = 8 if implicit else 12
    group, element = struct.unpack_from(order + "HH", rest)
    length = struct.unpack_from(order + "I", rest, header - 4)[0]
    if (group, element) != (PIXEL_DATA.group, PIXEL_DATA.element):
        raise NotEvaluable(Reason.UNDECODABLE, "data set is cut")
    is_words = implicit or bytes(rest[4:6]) == b"OW"
    if length == UNDEFINED:
        return PixelElement(is_words, True, rest[header:])
    return PixelElement(is_words, False, rest[header : header + length])
