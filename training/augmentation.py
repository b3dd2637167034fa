"""Small changes that a film could have had: position, turn, exposure, sharpness, noise. Never a mirror image.

A chest is not symmetric: a mirrored film shows a heart on the right (dextrocardia) and a reversed side marker, which
no real film of a healthy patient does, so flips would teach the network to ignore what a radiologist checks first.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Strength:
    """The largest change of each kind."""

    rotation_degrees: float = 15.0
    shift_share: float = 0.06
    scale_share: float = 0.15
    contrast_share: float = 0.25
    brightness_levels: float = 25.0
    gamma_share: float = 0.25
    blur_pixels: float = 0.8
    noise_levels: float = 3.0


def augment(image: NDArray[np.uint8], size: int, random: np.random.Generator, strength: Strength) -> NDArray[np.uint8]:
    """Return a changed copy of a grey image as uint8 [size, size]."""
    height, width = image.shape
    angle = random.uniform(-1, 1) * strength.rotation_degrees
    scale = (1 + random.uniform(-1, 1) * strength.scale_share) * size / width
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
    shift = random.uniform(-1, 1, 2) * strength.shift_share * size
    matrix[:, 2] += shift + (size - width) / 2
    moved = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    if random.random() < 0.25:  # noqa: PLR2004 - a film in four is blurred
        moved = cv2.GaussianBlur(moved, (0, 0), random.uniform(0.3, strength.blur_pixels))
    levels = np.linspace(0, 1, 256) ** (1 + random.uniform(-1, 1) * strength.gamma_share) * 255
    levels = (levels - 128) * (1 + random.uniform(-1, 1) * strength.contrast_share) + 128
    levels += random.uniform(-1, 1) * strength.brightness_levels
    exposed = levels[moved] + random.normal(0, random.uniform(0, strength.noise_levels), moved.shape)
    result: NDArray[np.uint8] = np.clip(exposed, 0, 255).astype(np.uint8)
    return result
