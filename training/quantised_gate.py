"""Whether an int8 package may stand in for the float32 one that it was made from. Pure."""

from dataclasses import dataclass

import numpy as np

from training.measures import Labels, Scores, area_under_curve

#: Largest fall of the AUC, and largest share of decisions that change.
MOST_AUC_FALL = 0.002
MOST_CHANGED = 0.01


@dataclass(frozen=True, slots=True)
class Compared:
    """Two packages on the same films: AUC of each, share of decisions that differ, largest move of a probability."""

    films: int
    auc_float32: float
    auc_int8: float
    decisions_changed: float
    largest_move: float


def compare(before: Scores, threshold_before: float, after: Scores, threshold_after: float, labels: Labels) -> Compared:
    """Compare probabilities of the positive class, each decided at its own package's threshold.

    >>> compare(np.array([0.1, 0.9]), 0.5, np.array([0.3, 0.4]), 0.35, np.array([0, 1])).decisions_changed
    0.0
    """
    changed = (before >= threshold_before) != (after >= threshold_after)
    return Compared(
        films=len(labels),
        auc_float32=area_under_curve(before, labels),
        auc_int8=area_under_curve(after, labels),
        decisions_changed=float(changed.mean()),
        largest_move=float(np.abs(before - after).max()),
    )


def refusals(compared: Compared) -> list[str]:
    """Return why the int8 package is refused; nothing when it passes.

    >>> refusals(Compared(100, 0.99, 0.985, 0.0, 0.1))
    ['AUC falls from 0.9900 to 0.9850, by more than 0.002']
    """
    reasons = []
    if compared.auc_float32 - compared.auc_int8 > MOST_AUC_FALL:
        fall = f"from {compared.auc_float32:.4f} to {compared.auc_int8:.4f}"
        reasons.append(f"AUC falls {fall}, by more than {MOST_AUC_FALL}")
    if compared.decisions_changed > MOST_CHANGED:
        reasons.append(f"{compared.decisions_changed:.2%} of decisions change, more than {MOST_CHANGED:.0%}")
    return reasons
