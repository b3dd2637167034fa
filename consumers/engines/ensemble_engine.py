"""Several engines that answer as one: the mean of their calibrated probabilities."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from consumers.engines.engine import Batch, Engine, Inference


class EnsembleEngine:
    """Asks each member in turn, in the calling thread, about the same batch."""

    def __init__(self, engines: Sequence[Engine], temperatures: Sequence[float]) -> None:
        self._engines = tuple(engines)
        self._temperatures = tuple(temperatures)
        self.name = "+".join(sorted({one.name for one in engines}))
        self.batch_images = min(one.batch_images for one in engines)

    def infer(self, batch: Batch) -> Inference:
        """Run float32 [N, 3, H, W]."""
        return mean_of([one.infer(batch) for one in self._engines], self._temperatures)


def mean_of(answers: Sequence[Inference], temperatures: Sequence[float]) -> Inference:
    """Give the answer whose logits are log(mean of the members' probabilities): softmax of them is that mean, exactly.

    Each member is read at its own temperature. `members` are their probabilities [N, members, classes]; the projection
    is the first member's; the evidence is the mean of the members', each divided by its temperature, where all have
    maps of one shape, else the first member's.

    >>> two = [Inference(np.log(np.array([[0.9, 0.1]], np.float32)), np.zeros((1, 1), np.float32)),
    ...        Inference(np.log(np.array([[0.5, 0.5]], np.float32)), np.zeros((1, 1), np.float32))]
    >>> np.exp(mean_of(two, [1.0, 1.0]).logits).round(6).tolist()
    [[0.699999988079071, 0.30000001192092896]]
    """
    logs = np.stack([_log_probabilities(one.logits, t) for one, t in zip(answers, temperatures, strict=True)], axis=1)
    mean = np.logaddexp.reduce(logs, axis=1) - np.log(len(answers))
    return Inference(
        mean.astype(np.float32),
        answers[0].projection,
        _mean_evidence(answers, temperatures),
        np.exp(logs).astype(np.float32),
    )


def _log_probabilities(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Return log softmax(logits / temperature): a probability too small for a float stays a number here."""
    scaled = np.asarray(logits, np.float64) / temperature
    return np.asarray(scaled - np.logaddexp.reduce(scaled, axis=-1, keepdims=True))


def _mean_evidence(answers: Sequence[Inference], temperatures: Sequence[float]) -> NDArray[np.float32] | None:
    maps = [one.evidence / t for one, t in zip(answers, temperatures, strict=True) if one.evidence is not None]
    if len(maps) < len(answers) or len({one.shape for one in maps}) > 1:
        return answers[0].evidence
    return np.asarray(np.mean(maps, axis=0, dtype=np.float64), np.float32)
