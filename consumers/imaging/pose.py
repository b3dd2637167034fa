"""How a chest lies on the film: upright, turned, or cut off. A linear look at a very small image.

A frontal chest has a shape so fixed (two dark fields, a bright middle, shoulders above) that sixteen by sixteen pixels
and one weight for each tell how it lies. The weights are fitted by `python -m training quality`, multinomial logistic
regression; what they can't do stands in docs/results.md.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: Side of the small image (pixels).
SIDE = 16
#: What the rows of the weights stand for: quarter turns anticlockwise, then a chest whose edges are off the film.
KINDS = ("upright", "turned 90", "turned 180", "turned 270", "cropped")
_TURNED = slice(1, 4)
_CROPPED = 4


@dataclass(frozen=True, slots=True)
class Pose:
    """Log-odds: of any quarter turn against none, and of a chest cut off against a whole one."""

    rotated: float
    cropped: float


@cache
def fitted() -> dict[str, Any]:
    """Read what was fitted and measured: the weights, and the limits of every check."""
    document: dict[str, Any] = json.loads(files("consumers.imaging").joinpath("quality.json").read_bytes())
    return document


def small(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the features of a grey image, 256 numbers of mean 0 and deviation 1: exposure and contrast are gone.

    Contrast is equalised by region first (CLAHE, Zuiderveld 1994): of films of a site that the weights never saw, a
    third fewer are then taken for cropped.

    >>> small(np.full((32, 32), 9, np.uint8)).any()
    np.False_
    """
    even = cv2.createCLAHE(clipLimit=4, tileGridSize=(4, 4)).apply(grey)
    tiny = cv2.resize(even, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float64).ravel()
    centred = tiny - tiny.mean()
    # One grey level is added: noise on an empty film must not look like a chest.
    return np.asarray(centred / (centred.std() + 1))


def pose_of(grey: NDArray[np.uint8]) -> Pose:
    """Judge a grey image of any size; the aspect is not kept, as the network's input."""
    weights, biases = _weights()
    return log_odds(weights @ small(grey) + biases)


def log_odds(scores: NDArray[np.float64]) -> Pose:
    """Turn the scores of the five kinds into the two log-odds.

    >>> log_odds(np.array([2.0, 0.0, 0.0, -1000.0, 2.0]))
    Pose(rotated=-2.0, cropped=0.0)
    """
    straight = np.logaddexp(scores[0], scores[_CROPPED])
    turned = np.logaddexp.reduce(scores[_TURNED])
    return Pose(round(float(turned - straight), 4), round(float(scores[_CROPPED] - scores[0]), 4))


@cache
def _weights() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pose = fitted()["pose"]
    return np.array(pose["weights"]), np.array(pose["biases"])
