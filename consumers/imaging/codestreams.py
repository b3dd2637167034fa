"""What a compressed frame says of itself, read from its header before any decoder may allocate by it."""

import struct
from dataclasses import dataclass
from io import BytesIO

from pydicom.encaps import generate_frames

from schemas.errors import NotEvaluable
from schemas.words import Reason

#: ITU-T T.81 B.1.1.3: frame headers SOF0 to SOF15 without DHT, JPG and DAC; T.87 adds SOF55 for JPEG-LS.
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
LEAD = 0xFF
START_OF_SCAN = 0xDA
STAND_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
END_OF_IMAGE = b"\xff\xd9"
#: ISO/IEC 15444-1 A.5.1: SOC, then SIZ at once.
J2K_START = b"\xff\x4f\xff\x51"

#: PS3.5 A.4: an item's tag and length; the delimiter of the sequence.
ITEM = struct.Struct("<4sI")
ITEM_TAG, END_OF_ITEMS = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """Size in pixels, bits a sample, samples a pixel, and whether samples are signed (JPEG 2000 only)."""

    rows: int
    columns: int
    precision: int
    components: int
    signed: bool = False


def undecodable(detail: str) -> NotEvaluable:
    """Make the error that every damaged frame ends in."""
    return NotEvaluable(Reason.UNDECODABLE, detail)


def first_frame(encapsulated: memoryview) -> bytes:
    """Return the only frame out of its item, its fragments joined where it has several (PS3.5 A.4).

    With what pads it to an even length: only a codestream with an end marker tells that from its own (`whole`); run
    lengths of a black corner end in zeros, too.
    """
    offsets = ITEM.unpack_from(encapsulated)[1]
    start = 2 * ITEM.size + offsets
    tag, length = ITEM.unpack_from(encapsulated, start - ITEM.size)
    if tag == ITEM_TAG and bytes(encapsulated[start + length : start + length + 4]) == END_OF_ITEMS:
        return bytes(encapsulated[start : start + length])
    return next(generate_frames(BytesIO(encapsulated), number_of_frames=1))


def whole(frame: bytes) -> bytes:
    r"""Return the frame without padding; raises when it doesn't end as JPEG, JPEG-LS and JPEG 2000 all must.

    Decoders fill what is cut with grey and say nothing: a half chest would be evaluated.

    >>> whole(b"\xff\xd8...\xff\xd9\x00").hex()
    'ffd82e2e2effd9'
    """
    trimmed = frame.rstrip(b"\0")
    if not trimmed.endswith(END_OF_IMAGE):
        raise undecodable("frame is cut: no end marker")
    return trimmed


def jpeg_header(frame: bytes) -> FrameHeader:
    """Read the frame header of a JPEG or JPEG-LS stream."""
    try:
        if frame[:2] != b"\xff\xd8":
            raise undecodable("no JPEG stream")
        at = 2
        while True:
            while frame[at] == LEAD and frame[at + 1] == LEAD:
                at += 1
            lead, marker = frame[at], frame[at + 1]
            if lead != LEAD or marker == START_OF_SCAN:
                raise undecodable("JPEG stream without a frame header")
            if marker in START_OF_FRAME:
                precision, rows, columns, components = struct.unpack_from(">BHHB", frame, at + 4)
                return FrameHeader(rows, columns, precision, components)
            at += 2 if marker in STAND_ALONE else 2 + struct.unpack_from(">H", frame, at + 2)[0]
    except (IndexError, struct.error) as error:
        raise undecodable("JPEG stream ends in its header") from error


def j2k_header(frame: bytes) -> FrameHeader:
    """Read the SIZ segment of a JPEG 2000 or HTJ2K codestream, also inside a JP2 box."""
    start = frame.find(J2K_START, 0, 4096)
    if start < 0:
        raise undecodable("no JPEG 2000 codestream")
    try:
        x1, y1, x0, y0 = struct.unpack_from(">IIII", frame, start + 8)
        components, depth = struct.unpack_from(">HB", frame, start + 40)
    except struct.error as error:
        raise undecodable("JPEG 2000 codestream ends in its header") from error
    return FrameHeader(y1 - y0, x1 - x0, (depth & 0x7F) + 1, components, bool(depth & 0x80))
