"""JPEG 2000 and HTJ2K at a half, a quarter or an eighth of their size: wavelets hold the small picture in the large.

A network that reads 224 pixels a side needs no more of a film of 2048: an eighth costs a fortieth of the time (1/8 of
J2K 18 ms for 860, of HTJ2K 0.6 ms for 36), and differs from the mean of the whole by 3 of 255
grey levels in the mean: it lies less than half a pixel higher and further left.
"""

import struct
from collections.abc import Callable, Mapping
from io import BytesIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from consumers.imaging.codestreams import J2K_START, FrameHeader, j2k_header, undecodable

#: 1/8: below it a film of the usual size has fewer pixels than any network reads.
MOST_HALVINGS = 3
#: ISO/IEC 15444-1 A.4.2 and A.6.1: start of a tile, and coding style default.
START_OF_TILE = b"\xff\x90"
CODING_STYLE = b"\xff\x52"
#: The HTJ2K decoder gives what lies below 0 wrapped, near 65536: only where a sample has spare bits can that be told.
DEPTHS_HTJ2K = range(9, 16)
#: From here on a value is a negative one (three quarters of 16 bits); up to here it may be one above the brightest.
WRAPPED = 3 * 2**14

Samples = NDArray[np.uint8] | NDArray[np.uint16]
#: Frame, halvings and bits of a sample to its samples.
Halved = Callable[[bytes, int, int], Samples]


def halvings_for(frame: bytes, header: FrameHeader, wanted: tuple[int, int]) -> int:
    """Return how often a frame may be halved (0 to 3) for a reader that wants at least [rows, columns].

    0 where the small picture would have fewer pixels than that, where the codestream has not so many levels, and for
    signed samples, whose decoders differ.
    """
    if header.signed:
        return 0
    most = min(MOST_HALVINGS, levels_of(frame))
    return max(n for n in range(most + 1) if n == 0 or _enough(header, wanted, n))


def levels_of(frame: bytes) -> int:
    """Return how many wavelet levels a codestream has; 0 where its header doesn't tell."""
    at = frame.find(J2K_START, 0, 4096) + 2
    try:
        while at >= 2 and (marker := frame[at : at + 2]) != START_OF_TILE:  # noqa: PLR2004 - a codestream was found
            if marker == CODING_STYLE:
                return frame[at + 9]
            at += 2 + struct.unpack_from(">H", frame, at + 2)[0]
    except (IndexError, struct.error):
        pass
    return 0


def decode_j2k_halved(frame: bytes, halvings: int, _stored: int) -> Samples:
    """Decode JPEG 2000 by Pillow, the one package that can reduce; it shifts deep samples up to fill 16 bits."""
    with Image.open(BytesIO(frame)) as image:
        image.reduce = halvings  # type: ignore[assignment, method-assign] # Pillow's own way to ask its JPEG 2000 plug-in
        # Pillow rounds the small size where OpenJPEG rounds it up, and then calls the data broken.
        image._size = (_up(image.width, halvings), _up(image.height, halvings))  # noqa: SLF001
        image.load()
        samples = np.asarray(image)
    if samples.dtype == np.uint8:
        return samples.astype(np.uint8, copy=False)
    return np.right_shift(samples.astype(np.uint16, copy=False), np.uint16(16 - j2k_header(frame).precision))


def decode_htj2k_halved(frame: bytes, halvings: int, stored: int) -> Samples:
    """Decode HTJ2K; what wrapped below 0 is 0, what lies above the brightest value is that value.

    Encoders write 16 for any depth: the data set's is taken, unless a value belies it.
    """
    depth = min(stored, j2k_header(frame).precision)
    if depth not in DEPTHS_HTJ2K:
        raise undecodable("no spare bit tells what wrapped")
    samples = np.asarray(imagecodecs.htj2k_decode(frame, skipres=halvings))
    if samples.dtype == np.uint16 and samples.max() < 2**depth:
        return samples.astype(np.uint16, copy=False)
    if ((samples >= 3 * 2 ** (depth - 1)) & (samples < WRAPPED)).any():
        raise undecodable("samples have more bits than the data set says")
    bounded: NDArray[np.uint16] = np.minimum(np.where(samples >= WRAPPED, 0, samples), 2**depth - 1).astype(np.uint16)
    return bounded


#: Encapsulated syntaxes that can be decoded small (PS3.6 A).
HALVED: Mapping[str, Halved] = {
    "1.2.840.10008.1.2.4.90": decode_j2k_halved,
    "1.2.840.10008.1.2.4.91": decode_j2k_halved,
    "1.2.840.10008.1.2.4.201": decode_htj2k_halved,
    "1.2.840.10008.1.2.4.202": decode_htj2k_halved,
    "1.2.840.10008.1.2.4.203": decode_htj2k_halved,
}


def decode_halved(syntax: str, frame: bytes, header: FrameHeader, halvings: int, stored: int) -> Samples | None:
    """Return a frame of `stored` bits, halved so often (at least once); None where it must come whole."""
    try:
        samples = HALVED[syntax](frame, halvings, stored)
    # Whatever a decoder stumbles over, the decoder of the whole frame is the one that judges it.
    except Exception:  # noqa: BLE001
        return None
    shape = (-(-header.rows >> halvings), -(-header.columns >> halvings))
    return samples if samples.shape == shape else None


def _up(side: int, halvings: int) -> int:
    """Round up to what can be halved so often."""
    return -(-side >> halvings) << halvings


def _enough(header: FrameHeader, wanted: tuple[int, int], halvings: int) -> bool:
    return header.rows >> halvings >= wanted[0] and header.columns >> halvings >= wanted[1]
