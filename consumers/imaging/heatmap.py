"""Where on the film a finding comes from, as a small grey picture: the map alone, one pixel for each of its places.

Drawn without OpenCV, so that a serving process stays small; whoever shows it enlarges it over the film.
"""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: PNG (ISO/IEC 15948) 11.2.2: bit depth 8, greyscale, deflate, adaptive filtering, no interlace.
_GREY = struct.pack(">5B", 8, 0, 0, 0, 0)


def evidence_for(evidence: NDArray[np.floating], found: int) -> NDArray[np.float64]:
    """Return what each place adds to the finding against the other classes, float64 [h, w], in units of the logit.

    `evidence` is one image's, [classes, h, w] or, for a network that shows its attention, [1, h, w], which is taken as
    it is. Behind one linear layer the mean over the places and the difference of the biases are the log-odds, exactly:
    the class activation map (Zhou et al. 2016) of the decision. Of two classes only the difference decides, and what
    both share cancels out.

    >>> evidence_for(np.array([[[1.0, 0.0]], [[3.0, 0.5]]]), 1).tolist()
    [[2.0, 0.5]]
    """
    maps = np.asarray(evidence, np.float64)
    if len(maps) == 1:
        return np.asarray(maps[0])
    return np.asarray(maps[found] - np.delete(maps, found, axis=0).mean(axis=0))


def grey_of(evidence: NDArray[np.floating]) -> tuple[NDArray[np.uint8], float]:
    """Return the map as uint8 [h, w] and the evidence that 255 stands for; what speaks against the finding is 0.

    >>> grey_of(np.array([[-1.0, 0.0, 1.0, 2.0]]))
    (array([[  0,   0, 128, 255]], dtype=uint8), 2.0)
    """
    spoken = np.maximum(np.nan_to_num(np.asarray(evidence, np.float64)), 0)
    largest = float(spoken.max())
    return np.rint(spoken * (255 / largest if largest else 0)).astype(np.uint8), largest


def png_of(evidence: NDArray[np.floating], found: int) -> bytes:
    """Return the map of a finding as a PNG, 8-bit grey, at the map's own size; its text `Scale` says what 255 means.

    The same evidence gives the same bytes. Nothing in it names the image.
    """
    grey, scale = grey_of(evidence_for(evidence, found))
    height, width = grey.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter, none
    rows[:, 1:] = grey
    chunks = (
        (b"IHDR", struct.pack(">2I", width, height) + _GREY),
        (b"tEXt", b"Scale\0" + f"{scale:.6g}".encode("ascii")),
        (b"IDAT", zlib.compress(rows.tobytes(), 1)),
        (b"IEND", b""),
    )
    return _SIGNATURE + b"".join(_chunk(kind, body) for kind, body in chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
