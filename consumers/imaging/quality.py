"""Whether a film can be relied on: exposure, contrast, clipping, pose and size, before any network looks at it.

Every limit is the edge of what good training films show, fixed by `python -m training quality`; docs/results.md has
what each limit costs (false alarms on good films) and finds (films damaged on purpose). Not judged, because no film of
the data could prove it: a lateral view without its tag, a mirrored film, motion, grids, foreign bodies.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumers.imaging.pose import fitted, pose_of
from consumers.imaging.statistics import counted
from schemas.words import ReviewReason


@dataclass(frozen=True, slots=True)
class Limits:
    """Where each check begins to flag. A film beyond a grave one is not evaluated."""

    bright_at_least: float  # 95th percentile of the middle: below it the film is too dark (grey levels)
    dark_at_most: float  # 5th percentile of the middle: above it the film is too bright (grey levels)
    spread_at_least: float  # between those two (grey levels)
    clipped_at_most: float  # share of the middle that is black or white outright (0 to 1)
    rotated_at_most: float  # log-odds
    cropped_at_most: float | None  # log-odds; None: the score is told and nobody is asked to look
    side_at_least: float  # the shorter side, as a share of the network's own
    grave_spread: float  # below it there is no picture (grey levels)
    grave_side: float  # below it there is too little picture (share of the network's own side)


@dataclass(frozen=True, slots=True)
class Quality:
    """What the checks found: the scores by name, why a person should look, and whether the film is of no use."""

    scores: Mapping[str, float]  # InferenceCompleted.quality
    flags: tuple[ReviewReason, ...]
    grave: bool


def limits() -> Limits:
    """Return the limits that were fitted."""
    return Limits(**fitted()["limits"])


def scores_of(grey: NDArray[np.uint8], sides: tuple[float, float]) -> dict[str, float]:
    """Measure a grey image of the network's size; `sides` are the film's own rows and columns (pixels).

    The middle is half of each side: borders, markers and collimation are left out. A percentile is the lowest level
    that holds at least that share of the pixels.

    >>> found = scores_of(np.full((224, 224), 7, np.uint8), (448, 224))
    >>> found["bright_level"], found["spread"], found["clipped_share"], found["short_side"]
    (7.0, 0.0, 0.0, 1.0)
    """
    height, width = grey.shape
    middle = grey[height // 4 : height - height // 4, width // 4 : width - width // 4]
    counts = counted(middle)
    dark, bright = (float(level) for level in np.searchsorted(np.cumsum(counts), np.array([0.05, 0.95]) * middle.size))
    pose = pose_of(grey)
    return {
        "dark_level": dark,
        "bright_level": bright,
        "spread": bright - dark,
        "clipped_share": round(float(counts[0] + counts[-1]) / middle.size, 6),
        "rotated": pose.rotated,
        "cropped": pose.cropped,
        "short_side": round(min(sides[0] / height, sides[1] / width), 4),
    }


def judge(scores: Mapping[str, float], at: Limits) -> Quality:
    """Say what a film's scores mean. A film without a picture is said to have none, and nothing else."""
    if scores["spread"] < at.grave_spread:
        return Quality(scores, (ReviewReason.LOW_CONTRAST,), grave=True)
    if scores["short_side"] < at.grave_side:
        return Quality(scores, (ReviewReason.TOO_SMALL,), grave=True)
    found = (
        (ReviewReason.TOO_SMALL, scores["short_side"] < at.side_at_least),
        (ReviewReason.TOO_DARK, scores["bright_level"] < at.bright_at_least),
        (ReviewReason.TOO_BRIGHT, scores["dark_level"] > at.dark_at_most),
        (ReviewReason.LOW_CONTRAST, scores["spread"] < at.spread_at_least),
        (ReviewReason.CLIPPED, scores["clipped_share"] > at.clipped_at_most),
        (ReviewReason.CROPPED, at.cropped_at_most is not None and scores["cropped"] > at.cropped_at_most),
        (ReviewReason.ROTATED, scores["rotated"] > at.rotated_at_most),
    )
    return Quality(scores, tuple(reason for reason, is_so in found if is_so), grave=False)


def quality_of(grey: NDArray[np.uint8], sides: tuple[float, float]) -> Quality:
    """Measure and judge, in well under a millisecond. Pure."""
    return judge(scores_of(grey, sides), limits())
