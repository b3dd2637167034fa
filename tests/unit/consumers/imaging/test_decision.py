"""From logits to a finding."""

import numpy as np
import pytest

from consumers.imaging.calibration import probabilities_of
from consumers.imaging.decision import Operating, decide

OPERATING = Operating(("NORMAL", "PNEUMONIA"), "PNEUMONIA", temperature=2.0, threshold=0.3)


@pytest.mark.parametrize(
    ("odds", "finding"), [(0.2999, "NORMAL"), (0.3001, "PNEUMONIA"), (0.9, "PNEUMONIA"), (0.0001, "NORMAL")]
)
def test_the_finding_is_positive_at_the_threshold_and_above(odds: float, finding: str) -> None:
    """Not at one half: at the threshold that validation fixed."""
    logit = 2.0 * np.log(odds / (1 - odds))

    decision = decide([0.0, logit], OPERATING)

    assert decision.finding == finding
    assert decision.probabilities["PNEUMONIA"] == pytest.approx(odds)
    assert sum(decision.probabilities.values()) == pytest.approx(1)


def test_a_higher_temperature_makes_less_sure_and_changes_no_order() -> None:
    """Ranking, and so the AUC, stays."""
    logits = np.array([[0.0, 3.0], [0.0, -1.0], [0.0, 0.5]])

    cold, warm = (probabilities_of(logits, temperature)[:, 1] for temperature in (1.0, 4.0))

    assert (np.argsort(cold) == np.argsort(warm)).all()
    assert (np.abs(warm - 0.5) < np.abs(cold - 0.5)).all()


def test_extreme_logits_stay_probabilities() -> None:
    """No overflow, no NaN; float32 logits as engines give them."""
    shares = probabilities_of(np.array([[-3e4, 3e4], [3e38, 0]], np.float32), 0.25)

    assert shares.tolist() == [[0.0, 1.0], [1.0, 0.0]]
