"""Every standard transfer syntax decodes to what was encoded; damage of any kind ends in `undecodable`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from consumers.imaging import decode as decoding
from consumers.imaging.decode import decode
from consumers.imaging.part10 import read_part10
from consumers.imaging.prepare import prepare
from consumers.imaging.preprocess import InputSpec
from schemas.errors import NotEvaluable
from schemas.words import Reason

BASE = "1.2.840.10008.1.2"
Encoder = Callable[[NDArray[np.generic]], bytes]
Build = Callable[..., bytes]


def run_length(pixels: NDArray[np.generic]) -> bytes:
    """Encode by PS3.5 G: byte planes from the highest, each packed by lines."""
    planes = [
        pixels.astype(pixels.dtype.newbyteorder(">")).view(np.uint8)[:, at :: pixels.dtype.itemsize]
        for at in range(pixels.dtype.itemsize)
    ]
    segments = []
    for plane in planes:
        packed = b"".join(imagecodecs.packbits_encode(np.ascontiguousarray(line).tobytes()) for line in plane)
        segments.append(packed + b"\0" * (len(packed) % 2))
    offsets, at = [], 64
    for segment in segments:
        offsets.append(at)
        at += len(segment)
    header = np.zeros(16, "<u4")
    header[0] = len(segments)
    header[1 : 1 + len(offsets)] = offsets
    return header.tobytes() + b"".join(segments)


def lossless(predictor: int, bits: int) -> Encoder:
    """Encode JPEG process 14 with a predictor of 1 to 7."""
    return partial(imagecodecs.jpeg8_encode, lossless=True, predictor=predictor, bitspersample=bits)


def j2k(bits: int, level: int | None = None) -> Encoder:
    """Encode a JPEG 2000 codestream; without a level it is reversible."""
    return partial(
        imagecodecs.jpeg2k_encode, codecformat="j2k", bitspersample=bits, reversible=level is None, level=level
    )


@dataclass(frozen=True)
class Case:
    """A syntax, its bits, its encoder, and the largest error of a stored sample."""

    syntax: str
    bits: int
    encode: Encoder
    error: int = 0


CASES = {
    "RLE, 8 bits": Case(f"{BASE}.5", 8, run_length),
    "RLE, 12 bits": Case(f"{BASE}.5", 12, run_length),
    "JPEG baseline": Case(f"{BASE}.4.50", 8, partial(imagecodecs.jpeg8_encode, level=95), error=6),
    "JPEG extended, 8 bits": Case(f"{BASE}.4.51", 8, partial(imagecodecs.jpeg8_encode, level=95), error=6),
    "JPEG extended, 12 bits": Case(
        f"{BASE}.4.51", 12, partial(imagecodecs.jpeg8_encode, level=98, bitspersample=12), error=12
    ),
    "JPEG lossless SV1, 8 bits": Case(f"{BASE}.4.70", 8, lossless(1, 8)),
    "JPEG lossless SV1, 12 bits": Case(f"{BASE}.4.70", 12, lossless(1, 12)),
    "JPEG lossless SV1, 16 bits": Case(f"{BASE}.4.70", 16, lossless(1, 16)),
    **{f"JPEG lossless, predictor {p}": Case(f"{BASE}.4.57", 12, lossless(p, 12)) for p in range(1, 8)},
    "JPEG-LS, 8 bits": Case(f"{BASE}.4.80", 8, imagecodecs.jpegls_encode),
    "JPEG-LS, 16 bits": Case(f"{BASE}.4.80", 16, imagecodecs.jpegls_encode),
    "JPEG-LS near-lossless": Case(f"{BASE}.4.81", 16, partial(imagecodecs.jpegls_encode, level=2), error=2),
    "JPEG 2000 lossless, 8 bits": Case(f"{BASE}.4.90", 8, j2k(8)),
    "JPEG 2000 lossless, 12 bits": Case(f"{BASE}.4.90", 12, j2k(12)),
    "JPEG 2000 lossy, 8 bits": Case(f"{BASE}.4.91", 8, j2k(8, 45), error=12),
    "JPEG 2000 lossy, 12 bits": Case(f"{BASE}.4.91", 12, j2k(12, 60), error=32),
    "JPEG 2000 lossy's syntax, reversible": Case(f"{BASE}.4.91", 12, j2k(12)),
    "HTJ2K lossless": Case(f"{BASE}.4.201", 16, imagecodecs.htj2k_encode),
    "HTJ2K lossless RPCL": Case(f"{BASE}.4.202", 16, imagecodecs.htj2k_encode),
    "HTJ2K lossy": Case(
        f"{BASE}.4.203", 16, partial(imagecodecs.htj2k_encode, level=0.0001, reversible=False), error=32
    ),
}
COMPRESSED = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def pixels_of(case: Case, film: NDArray[np.uint16]) -> NDArray[np.generic]:
    """Bring the film to the case's type."""
    return (film >> 4).astype(np.uint8) if case.bits == 8 else film


@COMPRESSED
def test_a_compressed_frame_decodes_to_what_was_encoded(case: Case, film: NDArray[np.uint16], dx: Build) -> None:
    """Lossless syntaxes give every sample back; lossy ones stay within the encoder's error."""
    pixels = pixels_of(case, film)
    data = dx(pixels, syntax=case.syntax, frame=case.encode(pixels), bits=case.bits)

    frame = decode(read_part10(data))

    assert frame.samples.shape == pixels.shape
    assert frame.cell.stored == case.bits
    assert np.abs(frame.samples.astype(int) - pixels.astype(int)).max() <= case.error


@COMPRESSED
def test_a_film_that_ends_in_black_decodes(case: Case, film: NDArray[np.uint16], dx: Build) -> None:
    """Most films have black corners, whose run lengths end in zeros: they are no padding."""
    pixels = pixels_of(case, film).copy()
    pixels[-40:] = 0
    data = dx(pixels, syntax=case.syntax, frame=case.encode(pixels), bits=case.bits)

    frame = decode(read_part10(data))

    assert np.abs(frame.samples.astype(int) - pixels.astype(int))[-30:].max() <= case.error


@COMPRESSED
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.95])
def test_a_cut_frame_is_undecodable(case: Case, kept: float, film: NDArray[np.uint16], dx: Build) -> None:
    """No decoder may fill what is missing with grey: a half chest would be evaluated."""
    pixels = pixels_of(case, film)
    whole = case.encode(pixels)
    data = dx(pixels, syntax=case.syntax, frame=whole[: int(len(whole) * kept)], bits=case.bits)

    with pytest.raises(NotEvaluable) as refused:
        decode(read_part10(data))

    assert refused.value.reason is Reason.UNDECODABLE


@COMPRESSED
def test_a_frame_of_another_size_is_undecodable(case: Case, film: NDArray[np.uint16], dx: Build) -> None:
    """Rows and Columns that lie are found out before a decoder allocates by the codestream."""
    pixels = pixels_of(case, film)
    data = dx(pixels, syntax=case.syntax, frame=case.encode(pixels), bits=case.bits, Rows=300, Columns=400)

    with pytest.raises(NotEvaluable) as refused:
        decode(read_part10(data))

    assert refused.value.reason is Reason.UNDECODABLE


@pytest.mark.parametrize("syntax", [BASE, f"{BASE}.1", f"{BASE}.1.99", f"{BASE}.2"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_uncompressed_samples_come_back_exactly(
    syntax: str, dtype: type[np.generic], film: NDArray[np.uint16], dx: Build
) -> None:
    """Implicit and explicit, little and big endian, deflated; 8 and 16 bits, signed too."""
    pixels = (film >> 4).astype(dtype) if dtype is np.uint8 else film.astype(dtype)
    stored = pixels.astype(pixels.dtype.newbyteorder(">")) if syntax.endswith("1.2.2") else pixels
    data = dx(pixels, syntax=syntax, frame=stored.tobytes())

    frame = decode(read_part10(data))

    np.testing.assert_array_equal(frame.samples.view(dtype), pixels)
    assert frame.cell.signed == (dtype is np.int16)


def test_eight_bit_samples_in_big_endian_words_are_swapped_back(film: NDArray[np.uint16], dx: Build) -> None:
    """PS3.5 A.3: 8-bit samples under OW are swapped with their words."""
    pixels = (film >> 4).astype(np.uint8)[:, :172]
    swapped = pixels.reshape(-1).view(np.uint16).byteswap().tobytes()
    data = dx(pixels, syntax=f"{BASE}.2", frame=swapped).replace(b"\x7f\xe0\x00\x10OB", b"\x7f\xe0\x00\x10OW")

    np.testing.assert_array_equal(decode(read_part10(data)).samples, pixels)


@pytest.mark.parametrize("syntax", [BASE, f"{BASE}.1", f"{BASE}.1.99", f"{BASE}.2", f"{BASE}.4.50"])
@pytest.mark.parametrize("kept", [0.005, 0.01, 0.5, 0.99])
def test_a_cut_file_is_undecodable(
    syntax: str, kept: float, film: NDArray[np.uint16], dx: Build, spec: InputSpec
) -> None:
    """Wherever the file ends too early: in its meta, its tags or its pixels."""
    pixels = (film >> 4).astype(np.uint8)
    frame = imagecodecs.jpeg8_encode(pixels) if syntax.endswith(".50") else None
    whole = dx(pixels, syntax=syntax, frame=frame)
    cut = whole[: max(300, int(len(whole) * kept))]

    with pytest.raises(NotEvaluable) as refused:
        prepare(cut, spec)

    assert refused.value.reason is Reason.UNDECODABLE


@pytest.mark.parametrize("length", [0, 1, 131, 132, 200])
def test_what_is_no_part_10_file_is_undecodable(length: int, spec: InputSpec) -> None:
    """Bytes of any kind end in a reason, never in another exception."""
    with pytest.raises(NotEvaluable) as refused:
        prepare((b"\0" * 128 + b"DICM" + b"\x02\x00\x10\x00UI\xff\xff" * 20)[:length], spec)

    assert refused.value.reason is Reason.UNDECODABLE


def test_random_damage_raises_nothing_but_a_reason(film: NDArray[np.uint16], dx: Build, spec: InputSpec) -> None:
    """Flipped bytes in the tags lead to a result or to a reason, whatever pydicom raises on the way."""
    whole = dx((film >> 4).astype(np.uint8), WindowCenter=100, WindowWidth=50, KVP=80, PatientOrientation=["L", "F"])
    random = np.random.default_rng(7)
    reasons = set()
    for _ in range(300):
        damaged = bytearray(whole)
        for at in random.integers(132, len(whole) - film.size, 4):
            damaged[at] = random.integers(0, 256)
        try:
            prepare(bytes(damaged), spec)
        except NotEvaluable as refused:
            reasons.add(refused.reason)

    assert Reason.UNDECODABLE in reasons


def test_an_inflating_bomb_is_undecodable(dx: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deflated data set beyond the limit is given up at the limit."""
    data = dx(np.zeros((500, 500), np.uint16), syntax=f"{BASE}.1.99")
    monkeypatch.setattr("consumers.imaging.part10.MAX_INFLATED_BYTES", 1000)

    with pytest.raises(NotEvaluable, match="too large"):
        read_part10(data)


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.94", "1.2.3.4.5", "1.2.840.113619.5.2"]
)
def test_a_syntax_without_decoder_says_so(syntax: str, film: NDArray[np.uint16], dx: Build, spec: InputSpec) -> None:
    """Video, JPIP and private syntaxes are unsupported, not undecodable."""
    data = dx(film).replace(b"1.2.840.10008.1.2.1\0", syntax.encode().ljust(20, b"\0"), 1)
    if len(syntax) > 20:
        data = dx(film, syntax=syntax)

    with pytest.raises(NotEvaluable) as refused:
        prepare(data, spec)

    assert refused.value.reason is Reason.UNSUPPORTED_TRANSFER_SYNTAX


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"PixelData": None}, Reason.NO_PIXELS),
        ({"Rows": 0}, Reason.NO_PIXELS),
        ({"Rows": None}, Reason.NO_PIXELS),
        ({"PixelData": b""}, Reason.NO_PIXELS),
        ({"PixelData": None, "FloatPixelData": b"\0" * 64}, Reason.UNSUPPORTED_PIXELS),
        ({"NumberOfFrames": 2}, Reason.MULTI_FRAME),
        ({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, Reason.UNSUPPORTED_PIXELS),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, Reason.UNSUPPORTED_PIXELS),
        ({"BitsStored": 20, "HighBit": 19}, Reason.UNSUPPORTED_PIXELS),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, Reason.UNSUPPORTED_PIXELS),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, Reason.UNSUPPORTED_PIXELS),
        ({"PhotometricInterpretation": None}, Reason.UNSUPPORTED_PIXELS),
        ({"Rows": 65535, "Columns": 65535}, Reason.UNSUPPORTED_PIXELS),
        ({"Rows": 5000, "Columns": 5000}, Reason.UNDECODABLE),
    ],
)
def test_pixels_of_another_form_get_their_reason(
    tags: dict[str, object], reason: Reason, film: NDArray[np.uint16], dx: Build, spec: InputSpec
) -> None:
    """Each row of the public table of bad input that concerns pixels."""
    with pytest.raises(NotEvaluable) as refused:
        prepare(dx(film, **tags), spec)

    assert refused.value.reason is reason


def test_the_bits_of_the_codestream_win_over_the_tag(film: NDArray[np.uint16], dx: Build) -> None:
    """A BitsStored that was left over from before compression doesn't cut samples."""
    frame = imagecodecs.jpeg8_encode(film, lossless=True, predictor=1, bitspersample=12)
    data = dx(film, syntax=f"{BASE}.4.70", frame=frame, bits=10)

    assert decode(read_part10(data)).cell.stored == 12


def test_colour_in_the_codestream_is_undecodable(dx: Build) -> None:
    """A tag that says grey over a colour stream is a lie."""
    colour = np.zeros((32, 32, 3), np.uint8)
    data = dx(colour[:, :, 0], syntax=f"{BASE}.4.50", frame=imagecodecs.jpeg8_encode(colour))

    with pytest.raises(NotEvaluable, match="disagree"):
        decode(read_part10(data))


def test_every_syntax_of_the_table_is_tested() -> None:
    """A new decoder needs a case here."""
    tested = {case.syntax for case in CASES.values()} | {BASE, f"{BASE}.1", f"{BASE}.1.99", f"{BASE}.2"}

    assert tested == decoding.SYNTAXES


@pytest.mark.parametrize("name", ["JPEG baseline", "JPEG-LS, 16 bits", "HTJ2K lossless"])
def test_damage_inside_a_frame_is_undecodable(name: str, film: NDArray[np.uint16], dx: Build) -> None:
    """The decoders that notice damage are made to say so, also the one that only prints it."""
    case = CASES[name]
    pixels = pixels_of(case, film)
    frame = bytearray(case.encode(pixels))
    for at in np.random.default_rng(4).integers(len(frame) // 4, len(frame) - 8, 200):
        frame[at] ^= 0x55
    data = dx(pixels, syntax=case.syntax, frame=bytes(frame), bits=case.bits)

    with pytest.raises(NotEvaluable) as refused:
        decode(read_part10(data))

    assert refused.value.reason is Reason.UNDECODABLE
