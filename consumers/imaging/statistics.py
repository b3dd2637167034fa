"""Numbers about the grey levels of an image, as the network sees it: what appearance drift watches."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

LEVELS = 256
PERCENTILES: Mapping[str, float] = {"p01": 1, "p05": 5, "p25": 25, "p50": 50, "p75": 75, "p95": 95, "p99": 99}


def image_statistics(grey: NDArray[np.uint8]) -> dict[str, float]:
    """Return mean, standard_deviation, p01 to p99 (grey levels, 0 to 255) and clipped_share (0 to 1).

    Measured after windowing, at the network's size: the reference of a model package is made from the same, so film
    size changes nothing. A percentile is the lowest level that holds at least that share of the pixels.

    >>> stats = image_statistics(np.array([[0, 100], [100, 255]], np.uint8))
    >>> stats["mean"], stats["p50"], stats["p99"], stats["clipped_share"]
    (113.75, 100.0, 255.0, 0.5)
    """
    counts = np.bincount(grey.ravel(), minlength=LEVELS)
    levels = np.arange(LEVELS)
    total = counts.sum()
    mean = float((counts * levels).sum() / total)
    deviation = float(np.sqrt((counts * (levels - mean) ** 2).sum() / total))
    cumulated = np.cumsum(counts)
    shares = {name: float(np.searchsorted(cumulated, share / 100 * total)) for name, share in PERCENTILES.items()}
    clipped = float((counts[0] + counts[-1]) / total)
    return {"mean": mean, "standard_deviation": deviation, **shares, "clipped_share": clipped}
