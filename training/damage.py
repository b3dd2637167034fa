"""Films damaged on purpose, and what is known of each damage: how the checks of quality are fitted and measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from schemas.words import ReviewReason

Grey = NDArray[np.uint8]

#: The share of each side that a cropped film keeps, from and to; the piece lies anywhere.
KEPT = (0.5, 0.7)
#: Hospitals frame a chest more closely or less: so much of a side is more or less there, at most (share of a side).
FRAMING = 0.12
#: The same of the other edges of a film that is cut at the left or right, and how much is cut there.
SIDE_CUT_FRAMING, SIDE_CUT = 0.05, (0.2, 0.4)
_EDGES = ("top", "bottom", "left", "right")


@dataclass(frozen=True, slots=True)
class Damage:
    """One way to spoil a film, and the flag that should find it."""

    flag: ReviewReason
    spoil: Callable[[Grey, np.random.Generator], Grey]
    side: int | None = None  # pixels that are left of each side; None: as many as before


def turned(grey: Grey, quarters: int) -> Grey:
    """Turn by quarters, anticlockwise."""
    return np.ascontiguousarray(np.rot90(grey, quarters))


def cropped(grey: Grey, random: np.random.Generator) -> Grey:
    """Cut a piece out and enlarge it to the former size."""
    height, width = grey.shape
    kept = random.uniform(*KEPT)
    rows, columns = round(height * kept), round(width * kept)
    top, left = random.integers(0, height - rows + 1), random.integers(0, width - columns + 1)
    piece = np.ascontiguousarray(grey[top : top + rows, left : left + columns])
    return cv2.resize(piece, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def framed(grey: Grey, **cut: float) -> Grey:
    """Cut shares of the height or width off edges (top, bottom, left, right), at the former size.

    Where a share is below 0 the outermost pixels are repeated instead.

    >>> framed(np.arange(16, dtype=np.uint8).reshape(4, 4), left=0.5, right=-0.5)[0].tolist()
    [2, 3, 3, 3]
    """
    height, width = grey.shape
    off = [round(cut.get(edge, 0) * (height if edge in _EDGES[:2] else width)) for edge in _EDGES]
    top, bottom, left, right = (max(0, one) for one in off)
    piece = grey[top : height - bottom, left : width - right]
    top, bottom, left, right = (max(0, -one) for one in off)
    wider = np.ascontiguousarray(np.pad(piece, ((top, bottom), (left, right)), "edge"))
    return cv2.resize(wider, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def reframed(grey: Grey, random: np.random.Generator) -> Grey:
    """Show a film as another hospital would frame it: every edge a little farther in or out."""
    return framed(grey, **_edges(random, FRAMING))


def side_cut(grey: Grey, random: np.random.Generator) -> Grey:
    """Cut much off the left or the right, and move the other edges a little."""
    return framed(grey, **_edges(random, SIDE_CUT_FRAMING) | {random.choice(_EDGES[2:]): random.uniform(*SIDE_CUT)})


def stretched(grey: Grey, factor: float, around: float) -> Grey:
    """Multiply contrast around a level, as a wrong window or exposure does; what leaves the scale is clipped."""
    return np.clip(np.rint((grey - np.float64(around)) * factor + around), 0, 255).astype(np.uint8)


def shrunk(grey: Grey, side: int) -> Grey:
    """Show what is left of a film that was sent with a side of so few pixels, at its former size."""
    small = cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, grey.shape[::-1], interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


DAMAGES: Mapping[str, Damage] = {
    "turned 90": Damage(ReviewReason.ROTATED, lambda grey, _: turned(grey, 1)),
    "turned 180": Damage(ReviewReason.ROTATED, lambda grey, _: turned(grey, 2)),
    "turned 270": Damage(ReviewReason.ROTATED, lambda grey, _: turned(grey, 3)),
    "cropped to 50-70 % of each side": Damage(ReviewReason.CROPPED, cropped),
    "left or right cut by 20 %": Damage(
        ReviewReason.CROPPED, lambda grey, random: framed(grey, **{random.choice(_EDGES[2:]): 0.2})
    ),
    "left or right cut by 30 %": Damage(
        ReviewReason.CROPPED, lambda grey, random: framed(grey, **{random.choice(_EDGES[2:]): 0.3})
    ),
    "top or bottom cut by 30 %": Damage(
        ReviewReason.CROPPED, lambda grey, random: framed(grey, **{random.choice(_EDGES[:2]): 0.3})
    ),
    "too dark (levels x 0.35)": Damage(ReviewReason.TOO_DARK, lambda grey, _: stretched(grey, 0.35, 0)),
    "too bright (the same from white)": Damage(ReviewReason.TOO_BRIGHT, lambda grey, _: stretched(grey, 0.35, 255)),
    "flat (contrast x 0.15)": Damage(ReviewReason.LOW_CONTRAST, lambda grey, _: stretched(grey, 0.15, 128)),
    "clipped (contrast x 4)": Damage(ReviewReason.CLIPPED, lambda grey, _: stretched(grey, 4, 128)),
    "shrunk to 64 pixels": Damage(ReviewReason.TOO_SMALL, lambda grey, _: shrunk(grey, 64), side=64),
}


def _edges(random: np.random.Generator, most: float) -> dict[str, float]:
    return dict(zip(_EDGES, random.uniform(-most, most, len(_EDGES)), strict=True))
