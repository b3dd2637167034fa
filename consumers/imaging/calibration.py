"""From logits to probabilities that mean what they say: fitted in training, applied in serving."""

import numpy as np
from numpy.typing import NDArray


def probabilities_of(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Return softmax(logits / temperature) over the last axis, in float64 and safe from overflow.

    Temperature scaling: Guo et al. (2017), "On Calibration of Modern Neural Networks".

    >>> probabilities_of(np.array([0.0, 0.0]), 2.0).tolist()
    [0.5, 0.5]
    >>> probabilities_of(np.array([[1000.0, 0.0]]), 1.0).tolist()
    [[1.0, 0.0]]
    """
    scaled = np.asarray(logits, np.float64) / temperature
    scaled = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=-1, keepdims=True))
