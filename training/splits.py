"""Which part of a data set a patient belongs to: by the patient's identity alone, so that no film of theirs leaks."""

from enum import StrEnum, unique
from hashlib import sha256

BUCKETS = 100
TRAIN_BELOW = 70
VALIDATION_BELOW = 85


@unique
class Part(StrEnum):
    """Train fits weights; validation fixes thresholds and temperatures; test is only measured."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


def part_of(patient: str) -> Part:
    """Say which part a patient is in; the rule of every data set and every release.

    >>> part_of("n0115"), part_of("p4")
    (<Part.TRAIN: 'train'>, <Part.TEST: 'test'>)
    """
    bucket = int(sha256(patient.encode()).hexdigest()[:8], 16) % BUCKETS
    if bucket < TRAIN_BELOW:
        return Part.TRAIN
    return Part.VALIDATION if bucket < VALIDATION_BELOW else Part.TEST
