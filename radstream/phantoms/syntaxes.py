"""How a frame is encoded in each transfer syntax that the phantoms come in (PS3.5 section 8.2 and Annex A)."""

from collections.abc import Callable, Mapping
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import (
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

Frame = NDArray[Any]


def _jpeg_baseline(frame: Frame, _bits: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(frame, level=92))


def _jpeg_lossless_sv1(frame: Frame, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(frame, lossless=True, predictor=1, bitspersample=bits))


def _jpeg_ls(frame: Frame, _bits: int) -> bytes:
    return bytes(imagecodecs.jpegls_encode(frame))


def _jpeg_2000(frame: Frame, bits: int) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(frame, level=0, codecformat="j2k", reversible=True, bitspersample=bits))


def _htj2k(frame: Frame, _bits: int) -> bytes:
    return bytes(imagecodecs.htj2k_encode(frame, reversible=True))


def _rle(frame: Frame, bits: int) -> bytes:
    rows, columns = frame.shape
    return get_encoder(RLELossless).encode(
        frame,
        encoding_plugin="pydicom",
        rows=rows,
        columns=columns,
        samples_per_pixel=1,
        number_of_frames=1,
        bits_allocated=frame.dtype.itemsize * 8,
        bits_stored=bits,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
    )


#: Encoders of one frame by transfer syntax; a syntax that is not here is stored unencoded.
ENCODER_OF: Mapping[str, Callable[[Frame, int], bytes]] = {
    JPEGBaseline8Bit: _jpeg_baseline,
    JPEGLosslessSV1: _jpeg_lossless_sv1,
    JPEGLSLossless: _jpeg_ls,
    JPEG2000Lossless: _jpeg_2000,
    HTJ2KLossless: _htj2k,
    RLELossless: _rle,
}

#: Syntaxes that hold no more than 8 bits a sample (PS3.5 8.2.1).
EIGHT_BITS = frozenset({str(JPEGBaseline8Bit)})

#: Syntaxes whose encoder here writes the container's precision: Bits Stored must say the same (PS3.5 8.2.3, 8.2.14).
WHOLE_CONTAINER = frozenset({str(JPEGLSLossless), str(HTJ2KLossless)})


def eight_bits(frame: Frame, bits: int) -> NDArray[np.uint8]:
    """Reduce stored values to 8 bits, for a syntax that holds no more."""
    return (frame >> max(0, bits - 8)).astype(np.uint8)
