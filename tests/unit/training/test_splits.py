"""The split rule, which no release may change: thresholds and metrics of every package rest on it."""

import pytest

from training.splits import Part, part_of

GOLDEN = {
    "n0115": Part.TRAIN,
    "n0119": Part.TRAIN,
    "p0": Part.TRAIN,
    "p4": Part.TEST,
    "00001281": Part.TRAIN,
    "person1": Part.VALIDATION,
}


@pytest.mark.parametrize(("patient", "part"), GOLDEN.items())
def test_a_patient_is_in_the_part_that_the_rule_says(patient: str, part: Part) -> None:
    """int(sha256(patient)[:8], 16) % 100: below 70 train, below 85 validation, else test."""
    assert part_of(patient) is part


def test_the_parts_have_their_shares() -> None:
    """70, 15 and 15 of a hundred, of many patients."""
    parts = [part_of(f"patient {number}") for number in range(20_000)]

    shares = {part: parts.count(part) / len(parts) for part in Part}

    assert shares[Part.TRAIN] == pytest.approx(0.70, abs=0.01)
    assert shares[Part.VALIDATION] == pytest.approx(0.15, abs=0.01)
    assert shares[Part.TEST] == pytest.approx(0.15, abs=0.01)
