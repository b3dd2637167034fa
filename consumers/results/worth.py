"""What a result is worth: how sure the model is, how strange the image is to it, and why a person should look. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ModelRefused
from schemas.words import ReviewReason


def uncertainty(probabilities: Sequence[float]) -> float:
    """Return the predictive entropy in units of its largest value: 0 is sure, 1 says that all classes are equal.

    Of calibrated probabilities only; it holds what the labels leave open (aleatoric), not what the model never saw: see
    `Novelty` for that. Shannon (1948); Kendall and Gal (2017), "What Uncertainties Do We Need in Bayesian Deep
    Learning for Computer Vision?".

    >>> uncertainty([0.5, 0.5]), uncertainty([1.0, 0.0]), round(uncertainty([0.9, 0.1]), 3)
    (1.0, 0.0, 0.469)
    """
    shares = np.asarray([share for share in probabilities if share > 0])
    return float(max(0.0, -(shares * np.log(shares)).sum() / np.log(len(probabilities))))


def disagreement(members: NDArray[np.floating]) -> float:
    """Return what an ensemble's members don't agree on: the entropy of their mean less the mean of their entropies.

    `members` are probabilities [members, classes]. In the units of `uncertainty`: 0 they say the same, 1 they are each
    sure, of different things. The mutual information of answer and member, the part of the mean's uncertainty that
    more data could settle (epistemic): Depeweg et al. (2018), "Decomposition of Uncertainty in Bayesian Deep Learning".

    >>> disagreement(np.array([[1.0, 0.0], [0.0, 1.0]])), disagreement(np.array([[0.3, 0.7], [0.3, 0.7]]))
    (1.0, 0.0)
    """
    rows = np.asarray(members, np.float64)
    apart = uncertainty(list(rows.mean(axis=0))) - float(np.mean([uncertainty(list(one)) for one in rows]))
    return max(0.0, round(apart, 12))


@dataclass(frozen=True, slots=True)
class Novelty:
    """How far an image lies from the films that a model was made from.

    Mahalanobis distance (Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples") of
    the projection and some grey-level statistics, its covariance shrunk (Ledoit and Wolf 2004); the score is the share
    of held-out films of the same kind that lie nearer.
    """

    statistics: tuple[str, ...]  # names of image_statistics that follow the projection in a row
    mean: NDArray[np.float64]  # [d]
    precision: NDArray[np.float64]  # [d, d]
    distances: NDArray[np.float64]  # [k], quantiles of the reference's own distances at equal steps from 0 to 1
    review_above: float

    def distance(self, projection: Sequence[float] | NDArray[np.floating], statistics: Mapping[str, float]) -> float:
        """Return the distance, in deviations of the reference."""
        row = np.concatenate([np.asarray(projection, np.float64), [statistics[name] for name in self.statistics]])
        apart = row - self.mean
        return float(np.sqrt(apart @ self.precision @ apart))

    def score(self, projection: Sequence[float] | NDArray[np.floating], statistics: Mapping[str, float]) -> float:
        """Return the share of reference films that lie nearer (0 to 1; 1 is farther than all of them)."""
        distance = self.distance(projection, statistics)
        if not np.isfinite(distance):
            return 1.0
        return round(float(np.interp(distance, self.distances, np.linspace(0, 1, len(self.distances)))), 4)


@dataclass(frozen=True, slots=True)
class Worth:
    """What a package's reference.json knows beyond drift's histograms; an older package knows nothing."""

    novelty: Novelty | None = None
    near_threshold: tuple[float, float] | None = None  # probabilities of the positive class around the threshold
    members: tuple[float, ...] = ()  # of an ensemble, each member's own threshold

    @classmethod
    def from_reference(cls, text: str | bytes) -> Self:
        """Read reference.json; raises ModelRefused for numbers that don't fit together."""
        try:
            document = json.loads(text)
            strange, near = document.get("out_of_distribution"), document.get("near_threshold")
            return cls(
                novelty=None if strange is None else _novelty(strange),
                near_threshold=None if near is None else (float(near["low"]), float(near["high"])),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelRefused(f"reference.json can't be read: {type(error).__name__}: {error}") from error

    def doubts(
        self, positive: float, strangeness: float | None, members: Sequence[float] = ()
    ) -> tuple[ReviewReason, ...]:
        """Say why a person should look at an evaluated image, of what the model itself can tell.

        `positive` is the probability of the positive class, `members` what each member of an ensemble gives it: they
        disagree when some find it at their own thresholds and others don't.
        """
        near = self.near_threshold is not None and self.near_threshold[0] <= positive <= self.near_threshold[1]
        strange = self.novelty is not None and strangeness is not None and strangeness > self.novelty.review_above
        findings = {share >= threshold for share, threshold in zip(members, self.members, strict=True)}
        found = (
            (ReviewReason.NEAR_THRESHOLD, near),
            (ReviewReason.MEMBERS_DISAGREE, len(findings) > 1),
            (ReviewReason.OUT_OF_DISTRIBUTION, strange),
        )
        return tuple(reason for reason, is_so in found if is_so)


#: Of a package that says nothing of its limits.
UNKNOWN_WORTH = Worth()


def _novelty(document: Mapping[str, Any]) -> Novelty:
    found = Novelty(
        tuple(map(str, document["statistics"])),
        np.array(document["mean"], np.float64),
        np.array(document["precision"], np.float64),
        np.array(document["distances"], np.float64),
        float(document["review_above"]),
    )
    side = len(found.mean)
    if found.precision.shape != (side, side) or found.distances.ndim != 1 or len(found.distances) < 2:  # noqa: PLR2004
        raise ValueError(f"a precision of {found.precision.shape} for {side} means")
    return found
