"""Temperature and threshold: what is fixed on the validation part, and on nothing else."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped] # ships no types

from consumers.imaging.calibration import probabilities_of
from training.measures import Labels, Scores

#: A temperature beyond these means that the fit went wrong; it is bounded rather than believed.
TEMPERATURES = (0.25, 20.0)
#: A threshold is written with four digits, and neither 0 nor 1 parts anything.
LOWEST = 1e-4
RULE = "best mean of recall and specificity among the thresholds with at least the wanted recall, on validation"


@dataclass(frozen=True, slots=True)
class Threshold:
    """An operating threshold, and what it reaches where it was chosen."""

    value: float
    recall: float
    specificity: float


def fit_temperature(logits: NDArray[np.floating], labels: Labels) -> float:
    """Return the temperature with the lowest negative log likelihood.

    >>> sure = np.array([[0.0, 8.0]] * 9 + [[8.0, 0.0]])
    >>> labels = np.array([1, 1, 1, 1, 1, 1, 1, 1, 0, 0])  # one of the sure ones is wrong
    >>> 3.5 < fit_temperature(sure, labels) < 3.9
    True
    """

    def loss(log_temperature: float) -> float:
        chosen = probabilities_of(logits, float(np.exp(log_temperature)))[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(chosen, 1e-300)).mean())

    found = minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded")
    return float(np.exp(found.x))


def choose_threshold(scores: Scores, labels: Labels, recall_wanted: float) -> Threshold:
    """Return the threshold of `RULE`, halfway (in log odds) between the scores that it parts.

    >>> choose_threshold(np.array([0.1, 0.2, 0.6, 0.7, 0.9]), np.array([0, 0, 0, 1, 1]), 0.985).value
    0.6517
    """
    positive = labels == 1
    candidates = np.unique(scores)
    recalls = np.array([(scores[positive] >= candidate).mean() for candidate in candidates])
    specificities = np.array([(scores[~positive] < candidate).mean() for candidate in candidates])
    merit = np.where(recalls >= recall_wanted, recalls + specificities, -1.0)
    best = int(np.flatnonzero(merit == merit.max())[-1])
    below = candidates[best - 1] if best else candidates[best] / 2
    odds = np.log(np.array([below, candidates[best]]).clip(1e-6, 1 - 1e-6))
    odds -= np.log1p(-np.exp(odds))
    value = float(1 / (1 + np.exp(-odds.mean())))
    return Threshold(round(min(max(value, LOWEST), 1 - LOWEST), 4), float(recalls[best]), float(specificities[best]))
