"""What reference.json says beyond drift's histograms: which films are strange to the model, and what is a near miss."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf  # type: ignore[import-untyped] # ships no types

from consumers.imaging.statistics import image_statistics

#: Grey-level statistics that stand beside the projection: a network is blind to much that makes a film strange.
STATISTICS = ("mean", "standard_deviation", "p05", "p25", "p50", "p75", "p95")
#: Steps between the quantiles of the distance that are kept (count).
STEPS = 200
#: An image is strange when it lies farther than this share of held-out films of the model's own kind.
REVIEW_ABOVE = 0.99
#: The share of validation films, those nearest to the threshold, that a person should look at.
NEAR_SHARE = 0.05
#: Fewer films tell nothing of a distance (count).
LEAST_FILMS = 10


@dataclass(frozen=True, slots=True)
class Looked:
    """Films and what the model made of them: grey uint8 [N, H, W], projections [N, 16]."""

    images: NDArray[np.uint8]
    projections: NDArray[np.float32]

    def rows(self) -> NDArray[np.float64]:
        """Return float64 [N, d]: the projection, then the statistics, in the order that serving uses."""
        levels = [[found[name] for name in STATISTICS] for found in map(image_statistics, self.images)]
        return np.concatenate([self.projections.astype(np.float64), np.array(levels)], axis=1)


def limits_of(train: Looked, validation: Looked, scores: NDArray[np.floating], threshold: float) -> dict[str, Any]:
    """Return what reference.json gains; `scores` are validation's probabilities of the positive class [N]."""
    found = {"near_threshold": near_threshold(scores, threshold)}
    rows = [_finite(train.rows()), _finite(validation.rows())]
    # A network that was hardly trained may have no projection to speak of.
    return found if min(map(len, rows)) < LEAST_FILMS else found | {"out_of_distribution": out_of_distribution(*rows)}


def _finite(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows[np.isfinite(rows).all(axis=1)]


def out_of_distribution(train: NDArray[np.float64], validation: NDArray[np.float64]) -> dict[str, Any]:
    """Fit centre and covariance on training films, and the score's scale on validation films [N, d].

    On training films themselves the distances would be too small: the covariance was fitted to them.
    """
    fitted = LedoitWolf().fit(train)
    distances = np.sqrt(fitted.mahalanobis(validation))
    return {
        "method": "Mahalanobis distance, Ledoit-Wolf covariance",
        "statistics": list(STATISTICS),
        "mean": fitted.location_.tolist(),
        "precision": fitted.precision_.tolist(),
        "shrinkage": float(fitted.shrinkage_),
        "distances": np.quantile(distances, np.linspace(0, 1, STEPS + 1)).tolist(),
        "review_above": REVIEW_ABOVE,
        "fitted_on": {"films": len(train), "part": "train"},
        "scaled_on": {"films": len(validation), "part": "validation"},
    }


def near_threshold(scores: NDArray[np.floating], threshold: float) -> dict[str, Any]:
    """Give the band around the threshold, symmetric in log-odds, that holds `NEAR_SHARE` of validation scores [N].

    >>> found = near_threshold(np.array([0.25] * 20), 0.5)
    >>> round(found["low"], 3), round(found["high"], 3)
    (0.25, 0.75)
    """
    bounded = np.clip(np.asarray(scores, np.float64), 1e-12, 1 - 1e-12)
    centre = np.log(threshold / (1 - threshold))
    half_width = float(np.quantile(np.abs(np.log(bounded / (1 - bounded)) - centre), NEAR_SHARE))
    low, high = (float(1 / (1 + np.exp(-(centre + side * half_width)))) for side in (-1, 1))
    return {"low": low, "high": high, "share": NEAR_SHARE, "fixed_on": "validation"}
