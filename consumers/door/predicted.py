"""What became of an image at the door: its result, and its map for who asks. Pure."""

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from consumers.decoding.frames import Content
from consumers.imaging.heatmap import png_of
from schemas.inference_completed import InferenceCompleted

#: What of a file's beginning and end is hashed (bytes): a header holds what tells two films apart, and 128 MB would
#: hold up the door.
_ENDS_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Predicted:
    """A result, and the evidence that its map is drawn from: [classes, h, w], None where the network gives none."""

    result: InferenceCompleted
    evidence: NDArray[np.float32] | None

    def heatmap(self) -> str | None:
        """Draw the map of the finding, positive or not: a PNG as those of the log's images, in base64."""
        result = self.result
        if self.evidence is None or result.probabilities is None or result.finding is None:
            return None
        return b64encode(png_of(self.evidence, list(result.probabilities).index(result.finding))).decode("ascii")


def study_of(content: Content) -> str:
    """Name what stands for the study of an image that has none: a hash of the file, so that the same file falls to one.

    SHA-256 in hex of its size, its first and its last 64 KiB.

    >>> study_of(b"film") == study_of(bytearray(b"film")), study_of(b"film") == study_of(b"another")
    (True, False)
    """
    digest = sha256(f"{len(content)}\n".encode())
    digest.update(content[:_ENDS_BYTES])
    digest.update(content[-_ENDS_BYTES:])
    return digest.hexdigest()
