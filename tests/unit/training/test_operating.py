"""What is fixed on validation: temperature and threshold."""

import numpy as np
import pytest

from consumers.imaging.calibration import probabilities_of
from training.operating import choose_threshold, fit_temperature


def sample(temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels from known probabilities, and logits that are too sure by `temperature`."""
    random = np.random.default_rng(11)
    log_odds = random.normal(0.5, 1.5, 20_000)
    labels = (random.uniform(0, 1, 20_000) < 1 / (1 + np.exp(-log_odds))).astype(np.int64)
    return np.stack([np.zeros_like(log_odds), log_odds * temperature], 1), labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(temperature: float) -> None:
    """Within the noise of 20,000 draws."""
    logits, labels = sample(temperature)

    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.04)


@pytest.mark.parametrize("wanted", [0.5, 0.9, 0.985, 1.0])
def test_the_threshold_reaches_the_wanted_recall(wanted: float) -> None:
    """Where it was chosen, whatever it costs in specificity."""
    logits, labels = sample(1.0)
    scores = probabilities_of(logits[:2000], 1.0)[:, 1]

    threshold = choose_threshold(scores, labels[:2000], wanted)

    found = scores >= threshold.value
    assert found[labels[:2000] == 1].mean() >= min(wanted, threshold.recall) - 0.002
    assert threshold.recall >= wanted


def test_no_threshold_with_the_wanted_recall_is_better() -> None:
    """Its mean of recall and specificity is the best of all that reach it."""
    logits, labels = sample(1.0)
    scores, labels = probabilities_of(logits[:300], 1.0)[:, 1], labels[:300]
    chosen = choose_threshold(scores, labels, 0.9)

    for candidate in np.linspace(0.001, 0.999, 999):
        recall, specificity = (scores >= candidate)[labels == 1].mean(), (scores < candidate)[labels == 0].mean()
        assert recall < 0.9 or recall + specificity <= chosen.recall + chosen.specificity + 1e-9
