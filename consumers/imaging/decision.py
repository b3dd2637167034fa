"""From logits to a result: calibrated probabilities and the finding at the operating threshold. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumers.imaging.calibration import probabilities_of


@dataclass(frozen=True, slots=True)
class Operating:
    """How a model's logits are read: classes (the first is the negative one), temperature, threshold (0 to 1)."""

    classes: tuple[str, ...]
    positive: str
    temperature: float
    threshold: float

    @property
    def negative(self) -> str:
        """The class that is found when the positive one is below its threshold."""
        return next(name for name in self.classes if name != self.positive)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a result says: the probability of each class, summing to 1, and the finding."""

    probabilities: Mapping[str, float]
    finding: str


def decide(logits: NDArray[np.floating] | Sequence[float], operating: Operating) -> Decision:
    """Decide one image; at exactly the threshold the finding is the positive class.

    >>> decide([0.0, 0.0], Operating(("NORMAL", "PNEUMONIA"), "PNEUMONIA", 1.0, 0.5))
    Decision(probabilities={'NORMAL': 0.5, 'PNEUMONIA': 0.5}, finding='PNEUMONIA')
    """
    shares = probabilities_of(np.asarray(logits, np.float64), operating.temperature)
    probabilities = {name: float(share) for name, share in zip(operating.classes, shares, strict=True)}
    found = probabilities[operating.positive] >= operating.threshold
    return Decision(probabilities, operating.positive if found else operating.negative)
