"""How good a classifier is, each number with its 95 % interval. Films are taken as independent of each other."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata  # type: ignore[import-untyped] # ships no types

from training.intervals import Z95, Estimate, share_estimate

Scores = NDArray[np.float64]
Labels = NDArray[np.int64]


def area_under_curve(scores: NDArray[np.floating], labels: Labels) -> float:
    """Return the chance that a positive scores above a negative, ties counting half (Mann and Whitney, 1947).

    >>> area_under_curve(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1]))
    0.75
    """
    ranks = rankdata(scores)
    positives = int((labels == 1).sum())
    negatives = len(labels) - positives
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def area_estimate(scores: Scores, labels: Labels) -> Estimate:
    """Return the AUC with DeLong's interval (DeLong et al., 1988), on the logit scale, which stays within 0 and 1.

    >>> estimate = area_estimate(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1]))
    >>> estimate.value, 0 < estimate.low < 0.75 < estimate.high < 1
    (0.75, True)
    """
    area = area_under_curve(scores, labels)
    positive, negative = scores[labels == 1], scores[labels == 0]
    ranks, m, n = rankdata(scores), len(positive), len(negative)
    over_negatives = (ranks[labels == 1] - rankdata(positive)) / n
    over_positives = 1 - (ranks[labels == 0] - rankdata(negative)) / m
    variance = over_negatives.var(ddof=1) / m + over_positives.var(ddof=1) / n
    if not 0 < area < 1:
        # DeLong's variance is 0 here, which would claim certainty: the rarer class bounds what can be known.
        rarer = share_estimate(round(area * min(m, n)), min(m, n))
        return Estimate(area, rarer.low, rarer.high, len(scores))
    centre, spread = np.log(area / (1 - area)), Z95 * sqrt(variance) / (area * (1 - area))
    low, high = (float(1 / (1 + np.exp(-(centre + side * spread)))) for side in (-1, 1))
    return Estimate(area, low, high, len(scores))


def calibration_error(scores: Scores, labels: Labels, bins: int = 15) -> float:
    """Return the expected calibration error over equal bins of the positive probability (Naeini et al., 2015).

    >>> calibration_error(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1]))
    0.0
    """
    index = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = [abs(scores[index == b].mean() - labels[index == b].mean()) * (index == b).mean() for b in np.unique(index)]
    return float(sum(gaps))


def measure(scores: Scores, labels: Labels, threshold: float) -> dict[str, Estimate | float]:
    """Measure probabilities of the positive class against labels (1 = positive) at a frozen threshold."""
    found = scores >= threshold
    positive = labels == 1
    return {
        "auc": area_estimate(scores, labels),
        "accuracy": share_estimate(int((found == positive).sum()), len(labels)),
        "recall": share_estimate(int((found & positive).sum()), int(positive.sum())),
        "specificity": share_estimate(int((~found & ~positive).sum()), int((~positive).sum())),
        "precision": share_estimate(int((found & positive).sum()), max(1, int(found.sum()))),
        "calibration_error": calibration_error(scores, labels),
    }
