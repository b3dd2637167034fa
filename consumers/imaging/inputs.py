"""What a network reads: its size, its scale, its test image. Needs numpy alone, so a serving process stays small."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What a network reads: size in pixels, and mean and standard deviation of each channel in units of full scale."""

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def normalise(grey: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.float32]:
    """Turn uint8 [H, W] of the network's size into float32 [3, H, W] of about zero mean and unit deviation.

    >>> normalise(np.array([[0, 255]], np.uint8), InputSpec(1, 2, (0.5, 0.5, 0.0), (0.5, 0.5, 1.0)))[:, 0].tolist()
    [[-1.0, 1.0], [-1.0, 1.0], [0.0, 1.0]]
    """
    # One table a channel: each of the 256 levels is computed once, so training and serving cannot round differently.
    found = np.empty((3, *grey.shape), np.float32)
    for channel, table in enumerate(_tables(spec)):
        np.take(table, grey, out=found[channel], mode="clip")
    return found


@lru_cache(maxsize=8)
def _tables(spec: InputSpec) -> NDArray[np.float32]:
    """Return the value of each grey level in each channel [3, 256]."""
    levels = np.arange(256, dtype=np.float64) / 255.0
    tables = (levels[None, :] - np.array(spec.mean)[:, None]) / np.array(spec.std)[:, None]
    return np.asarray(tables, np.float32)


def self_test_image(spec: InputSpec) -> NDArray[np.uint8]:
    """Return the grey image that a package's manifest gives the logits of: a tilted wave, the same everywhere.

    >>> self_test_image(InputSpec(2, 3, (0, 0, 0), (1, 1, 1))).tolist()
    [[0, 7, 14], [11, 18, 25]]
    """
    rows, columns = np.mgrid[: spec.height, : spec.width]
    return np.asarray((rows * 11 + columns * 7) % 256, np.uint8)
