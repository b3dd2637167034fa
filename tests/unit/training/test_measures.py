"""Measures agree with scikit-learn where it has them, and their intervals cover what they should."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from training.intervals import share_estimate
from training.measures import area_estimate, area_under_curve, calibration_error, measure


def drawn(seed: int, n: int = 400, gap: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Draw scores of two normal classes; the true AUC is Phi(gap / sqrt 2)."""
    random = np.random.default_rng(seed)
    labels = (np.arange(n) % 3 > 0).astype(np.int64)
    return random.normal(0, 1, n) + gap * labels, labels


def test_the_area_agrees_with_scikit_learn_ties_included() -> None:
    """Rounded scores tie."""
    scores, labels = drawn(1)

    assert area_under_curve(scores.round(1), labels) == pytest.approx(roc_auc_score(labels, scores.round(1)))


def test_delongs_interval_covers_the_truth_about_19_times_in_20() -> None:
    """Over 1,000 draws of a known AUC, Phi(1.5 / sqrt 2) = 0.8556."""
    estimates = [area_estimate(*drawn(seed)) for seed in range(1000)]

    covered = np.mean([one.low <= 0.85558 <= one.high for one in estimates])

    assert covered == pytest.approx(0.95, abs=0.02)


def test_wilsons_interval_is_the_published_one() -> None:
    """Newcombe (1998), table I: 81 of 263, and 0 of 20."""
    assert share_estimate(81, 263).low == pytest.approx(0.2553, abs=1e-4)
    assert share_estimate(81, 263).high == pytest.approx(0.3662, abs=1e-4)
    assert share_estimate(0, 20).high == pytest.approx(0.1611, abs=1e-4)


def test_perfect_separation_does_not_claim_certainty() -> None:
    """An AUC of 1 on few films has an interval."""
    estimate = area_estimate(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1]))

    assert (estimate.value, estimate.high) == (1.0, 1.0)
    assert estimate.low < 0.5


def test_scores_that_mean_what_they_say_have_no_calibration_error() -> None:
    """And those that are too sure have one."""
    random = np.random.default_rng(3)
    scores = random.uniform(0, 1, 50_000)
    labels = (random.uniform(0, 1, 50_000) < scores).astype(np.int64)

    assert calibration_error(scores, labels) < 0.01
    assert calibration_error((scores > 0.5) * 1.0, labels) > 0.2


def test_shares_count_at_the_threshold() -> None:
    """A score of exactly the threshold is a finding, as in serving."""
    measured = measure(np.array([0.2, 0.5, 0.5, 0.9]), np.array([0, 0, 1, 1]), 0.5)

    assert [measured[name].value for name in ("accuracy", "recall", "specificity")] == [0.75, 1.0, 0.5]
