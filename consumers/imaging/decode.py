"""One frame of grey pixels out of a data set, for every standard still-image transfer syntax (PS3.5 A).

Each syntax has the decoder that was measured fastest and is under a permissive licence. No size in the data set or the
codestream is trusted: both are checked against each other and against a limit before a decoder may allocate.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import imagecodecs
import numpy as np
import simplejpeg  # type: ignore[import-untyped] # ships no types; its two functions are wrapped here
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from consumers.imaging.codestreams import FrameHeader, first_frame, j2k_header, jpeg_header, undecodable, whole
from consumers.imaging.part10 import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Part10, PixelElement
from consumers.imaging.reduced import HALVED, decode_halved, halvings_for
from schemas.errors import NotEvaluable
from schemas.words import Reason

#: The largest film is 43 x 35 cm at 50 micrometres, 60 megapixels (pixels).
MAX_PIXELS = 80_000_000
#: Bits of a sample's cell that a radiograph may have (PS3.3 A.26, A.2).
CELLS = frozenset({8, 16})
#: OpenCV writes each damaged frame to standard error, where our logs go; we raise instead.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})

Samples = NDArray[np.uint8] | NDArray[np.uint16]
Decoder = Callable[[bytes], NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Cell:
    """Where the value lies in a stored sample: bits allocated, bits stored, its highest bit, and its sign."""

    allocated: int
    stored: int
    high_bit: int
    signed: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """Stored samples as they came, uint8 or uint16 [rows, columns]: bit patterns, which `cell` says how to read."""

    samples: Samples
    cell: Cell


def decode_j2k_lossy(frame: bytes) -> NDArray[np.generic]:
    """Decode irreversible JPEG 2000; OpenCV is 1.4 times as fast as the rest but knows no signed samples."""
    if j2k_header(frame).signed:
        return np.asarray(imagecodecs.jpeg2k_decode(frame))
    pixels = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise undecodable("OpenCV gave no image")
    return pixels


def decode_baseline(frame: bytes) -> NDArray[np.generic]:
    """Decode 8-bit JPEG; strict, so that damage raises instead of turning grey."""
    return np.asarray(simplejpeg.decode_jpeg(frame, colorspace="GRAY", strict=True))[:, :, 0]


def decode_extended(frame: bytes) -> NDArray[np.generic]:
    """Decode JPEG processes 2 and 4: 8 or 12 bits."""
    return decode_baseline(frame) if jpeg_header(frame).precision == CELL_BYTE else decode_jpeg(frame)


def decode_jpeg(frame: bytes) -> NDArray[np.generic]:
    """Decode what libjpeg-turbo 3 knows: 12 bits and lossless processes too."""
    return np.asarray(imagecodecs.jpeg8_decode(frame))


def decode_jpeg_ls(frame: bytes) -> NDArray[np.generic]:
    """Decode JPEG-LS, lossless or near-lossless."""
    return np.asarray(imagecodecs.jpegls_decode(frame))


def decode_j2k(frame: bytes) -> NDArray[np.generic]:
    """Decode JPEG 2000, reversible or not, signed or not."""
    return np.asarray(imagecodecs.jpeg2k_decode(frame))


def decode_htj2k(frame: bytes) -> NDArray[np.generic]:
    """Decode High-Throughput JPEG 2000."""
    return np.asarray(imagecodecs.htj2k_decode(frame))


CELL_BYTE = 8
Header = Callable[[bytes], FrameHeader]
In = TypeVar("In", bytes, memoryview)
Out = TypeVar("Out")

#: PS3.6 A: encapsulated syntaxes, each with the reader of its header and its decoder.
DECODERS: Mapping[str, tuple[Header, Decoder]] = {
    "1.2.840.10008.1.2.4.50": (jpeg_header, decode_baseline),
    "1.2.840.10008.1.2.4.51": (jpeg_header, decode_extended),
    "1.2.840.10008.1.2.4.57": (jpeg_header, decode_jpeg),
    "1.2.840.10008.1.2.4.70": (jpeg_header, decode_jpeg),
    "1.2.840.10008.1.2.4.80": (jpeg_header, decode_jpeg_ls),
    "1.2.840.10008.1.2.4.81": (jpeg_header, decode_jpeg_ls),
    "1.2.840.10008.1.2.4.90": (j2k_header, decode_j2k),
    "1.2.840.10008.1.2.4.91": (j2k_header, decode_j2k_lossy),
    "1.2.840.10008.1.2.4.201": (j2k_header, decode_htj2k),
    "1.2.840.10008.1.2.4.202": (j2k_header, decode_htj2k),
    "1.2.840.10008.1.2.4.203": (j2k_header, decode_htj2k),
}
RLE = "1.2.840.10008.1.2.5"
NATIVE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG})
SYNTAXES = NATIVE | {RLE} | DECODERS.keys()


def check_syntax(transfer_syntax_uid: str) -> None:
    """Raise NotEvaluable (unsupported_transfer_syntax) for what no decoder of ours knows."""
    if transfer_syntax_uid not in SYNTAXES:
        raise NotEvaluable(Reason.UNSUPPORTED_TRANSFER_SYNTAX)


def check_pixels(part10: Part10) -> tuple[int, int, Cell]:
    """Return rows, columns and the cell of a grey single-frame image; raises NotEvaluable with the reason otherwise."""
    dataset, pixels = part10.dataset, part10.pixels
    if pixels is None:
        is_float = "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset
        raise NotEvaluable(Reason.UNSUPPORTED_PIXELS if is_float else Reason.NO_PIXELS)
    rows, columns = _number(dataset, "Rows"), _number(dataset, "Columns")
    if not rows or not columns or not len(pixels.data):
        raise NotEvaluable(Reason.NO_PIXELS, f"{rows} x {columns}")
    if _number(dataset, "NumberOfFrames", 1) > 1:
        raise NotEvaluable(Reason.MULTI_FRAME)
    if _number(dataset, "SamplesPerPixel", 1) != 1 or dataset.get("PhotometricInterpretation") not in GREY:
        raise NotEvaluable(Reason.UNSUPPORTED_PIXELS, "not grey")
    allocated = _number(dataset, "BitsAllocated")
    stored = _number(dataset, "BitsStored", allocated)
    high_bit = _number(dataset, "HighBit", stored - 1)
    if allocated not in CELLS or not 1 < stored <= high_bit + 1 <= allocated:
        raise NotEvaluable(Reason.UNSUPPORTED_PIXELS, f"{stored} bits in {allocated}")
    if rows * columns > MAX_PIXELS:
        raise NotEvaluable(Reason.UNSUPPORTED_PIXELS, f"{rows} x {columns} is larger than any film")
    return rows, columns, Cell(allocated, stored, high_bit, bool(_number(dataset, "PixelRepresentation", 0)))


def decode(part10: Part10, wanted: tuple[int, int] | None = None) -> Frame:
    """Decode the only frame; raises NotEvaluable with the reason when there is none that we can read.

    With `wanted` [rows, columns] a frame of wavelets may come smaller, never below that: see `reduced`.
    """
    (frame,) = decode_all(part10, (wanted,))
    return frame


def decode_all(part10: Part10, wanted: Sequence[tuple[int, int] | None]) -> list[Frame]:
    """Decode the only frame for several readers, as `decode` does for each; those that one size serves share it."""
    check_syntax(part10.transfer_syntax_uid)
    rows, columns, cell = check_pixels(part10)
    if part10.pixels is None or part10.pixels.is_encapsulated == (part10.transfer_syntax_uid in NATIVE):
        raise undecodable("pixel data are not in the form of their transfer syntax")
    if part10.transfer_syntax_uid in NATIVE:
        big = part10.transfer_syntax_uid == EXPLICIT_BIG
        return [Frame(_native(part10.pixels, big, rows, columns, cell), cell)] * len(wanted)
    frame = _guarded(first_frame, part10.pixels.data)
    if part10.transfer_syntax_uid == RLE:
        return [Frame(_run_length(frame, rows, columns, cell), cell)] * len(wanted)
    read_header, decoder = DECODERS[part10.transfer_syntax_uid]
    header = read_header(frame)
    if (header.rows, header.columns, header.components) != (rows, columns, 1) or header.precision > cell.allocated:
        raise undecodable("codestream and data set disagree on the image's shape")
    frame = whole(frame)
    stored = cell.stored
    if header.precision != cell.stored:
        # The codestream is what was measured; an old BitsStored is often left over from before compression.
        cell = Cell(cell.allocated, header.precision, header.precision - 1, cell.signed)
    small = part10.transfer_syntax_uid in HALVED
    halvings = [halvings_for(frame, header, size) if small and size else 0 for size in wanted]
    frames: dict[int, Frame] = {}
    for number in sorted(set(halvings), reverse=True):
        samples = decode_halved(part10.transfer_syntax_uid, frame, header, number, stored) if number else None
        if samples is None and 0 not in frames:
            frames[0] = Frame(_samples(_guarded(decoder, frame), rows, columns), cell)
        frames[number] = frames[0] if samples is None else Frame(samples, cell)
    return [frames[number] for number in halvings]


def _native(pixels: PixelElement, big: bool, rows: int, columns: int, cell: Cell) -> Samples:  # noqa: FBT001 - byte order
    """Read uncompressed samples in the host's byte order."""
    data = pixels.data
    wanted = rows * columns * (cell.allocated // 8)
    if len(data) < wanted:
        raise undecodable(f"{len(data)} bytes of pixels where {wanted} belong")
    if cell.allocated == CELL_BYTE:
        if big and pixels.is_words:  # PS3.5 A.3: 8-bit samples in words are swapped with them
            return (
                np.frombuffer(data[: len(data) & ~1], ">u2")
                .astype("<u2")
                .view(np.uint8)[:wanted]
                .reshape(rows, columns)
            )
        return np.frombuffer(data, np.uint8, wanted).reshape(rows, columns)
    order = ">u2" if big else "<u2"
    return np.frombuffer(data, order, rows * columns).astype(np.uint16, copy=False).reshape(rows, columns)


def _run_length(frame: bytes, rows: int, columns: int, cell: Cell) -> Samples:
    """Decode RLE (PS3.5 G), whose header says no size: the output is made by ours."""
    dtype = np.dtype(f"<u{cell.allocated // 8}")
    out = bytearray(rows * columns * dtype.itemsize)

    def fill(data: bytes) -> bytes | bytearray:
        return imagecodecs.dicomrle_decode(data, dtype, out=out)

    plain = _guarded(fill, frame)
    if len(plain) != len(out):
        raise undecodable(f"{len(plain)} bytes of pixels where {len(out)} belong")
    return np.frombuffer(plain, dtype).reshape(rows, columns)


def _samples(pixels: NDArray[Any], rows: int, columns: int) -> Samples:
    """Check a decoder's output and see its bits as unsigned."""
    if pixels.shape != (rows, columns) or pixels.dtype.itemsize > 2 or pixels.dtype.kind not in "iu":  # noqa: PLR2004 - bytes of a uint16
        raise undecodable("decoder gave another shape or type")
    patterns = np.ascontiguousarray(pixels)
    return patterns.view(np.uint8) if pixels.dtype.itemsize == 1 else patterns.view(np.uint16)


def _guarded(decoder: Callable[[In], Out], frame: In) -> Out:
    """Run a decoder; whatever it raises on damaged input means that the frame is undecodable.

    imagecodecs' HTJ2K decoder meets errors where it can't raise them, prints them and returns half an image: Python's
    hook for such errors tells us.
    """
    swallowed: list[str] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda found: swallowed.append(found.exc_type.__name__)
    try:
        result = decoder(frame)
    except NotEvaluable:
        raise
    except Exception as error:
        raise undecodable(f"decoder failed ({type(error).__name__})") from error
    finally:
        sys.unraisablehook = before
    if swallowed:
        raise undecodable(f"decoder failed ({swallowed[0]})")
    return result


def _number(dataset: Dataset, keyword: str, default: int = 0) -> int:
    """Return an element's integer; raises NotEvaluable (undecodable) for a value that is none."""
    try:
        value = dataset.get(keyword, None)
        return default if value is None or value == "" else int(value)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise undecodable(f"{keyword} is no number") from error
