"""reference.json: what the model's own data look like: the histograms of drift, and the limits of what it knows.

The file's form:

    {"features": {"score":      {"unit": ..., "edges": [e0, ..., en], "counts": [under, b1, ..., bn, over, nan]},
                  "brightness": {...}, "contrast": {...},
                  "manufacturer": {"categories": {name: count}}},
     "n": films, "data": where they come from,
     "out_of_distribution": {...}, "near_threshold": {...}}

The last two are made by `training.doubts`.

`score` is the calibrated probability of the positive class; `brightness` and `contrast` are mean and standard_deviation
of `consumers.imaging.statistics` (grey levels). Bins hold their left edge, the last one its right edge too (numpy's
rule). Edges are fixed, the same for every model, so that histograms of two versions can be merged and compared.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from consumers.imaging.statistics import image_statistics

EDGES = {
    "score": tuple(index / 20 for index in range(21)),
    "brightness": tuple(float(level) for level in range(0, 257, 8)),
    "contrast": tuple(float(level) for level in range(0, 129, 4)),
}
UNITS = {"score": "probability", "brightness": "grey levels", "contrast": "grey levels"}


def count(values: NDArray[np.floating], edges: tuple[float, ...]) -> list[int]:
    """Count values into [under, bins, over, nan].

    >>> count(np.array([-1.0, 0.0, 0.5, 1.0, 2.0, np.nan]), (0.0, 0.5, 1.0))
    [1, 1, 2, 1, 1]
    """
    real = values[~np.isnan(values)]
    inside = np.histogram(real, edges)[0]
    under, over = (real < edges[0]).sum(), (real > edges[-1]).sum()
    return [int(number) for number in (under, *inside, over, np.isnan(values).sum())]


def reference_of(images: NDArray[np.uint8], scores: NDArray[np.floating], source: str) -> dict[str, Any]:
    """Make the document from grey images [N, H, W] at the network's size and their scores [N]."""
    statistics = [image_statistics(image) for image in images]
    values = {
        "score": np.asarray(scores, np.float64),
        "brightness": np.array([one["mean"] for one in statistics]),
        "contrast": np.array([one["standard_deviation"] for one in statistics]),
    }
    features: dict[str, Any] = {
        name: {"unit": UNITS[name], "edges": list(edges), "counts": count(values[name], edges)}
        for name, edges in EDGES.items()
    }
    features["manufacturer"] = {"categories": {}}
    return {"features": features, "n": len(images), "data": source}
