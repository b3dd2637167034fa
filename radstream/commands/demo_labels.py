"""What is known of the demo's images beforehand: labels, and with them accuracy on the test part only."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import WrongCall
from training.intervals import Estimate, share_estimate
from training.splits import Part, part_of

LABELS = "labels.csv"


@dataclass(frozen=True, slots=True)
class Label:
    """What a person said of one file."""

    label: str
    part: Part  # of its patient, by the rule of every data set


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How often finding and label agreed, on patients that the model never saw."""

    accuracy: Estimate | None
    by_label: Mapping[str, Estimate]  # the share of each label's films that was found as such
    test_not_evaluated: int
    apart: Mapping[Part, int]  # images of patients that the model may know


def read_labels(folder: Path) -> dict[Path, Label]:
    """Read `labels.csv` (file, label, ..., patient) of a folder; none there, none known."""
    path = folder / LABELS
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as lines:
        try:
            return {folder / row["file"]: Label(row["label"], part_of(row["patient"])) for row in csv.DictReader(lines)}
        except (KeyError, csv.Error, UnicodeDecodeError) as error:
            raise WrongCall(f"{path} needs the columns file, label and patient") from error


def quality(said: Sequence[tuple[Label, str | None]]) -> Quality:
    """Compare findings with labels: (label, finding or None where nothing was evaluated)."""
    test = [(label.label, finding) for label, finding in said if label.part is Part.TEST]
    judged = [(label, finding) for label, finding in test if finding is not None]
    names = sorted({label for label, _ in judged})
    return Quality(
        accuracy=_agreement(judged),
        by_label={name: found for name in names if (found := _agreement([one for one in judged if one[0] == name]))},
        test_not_evaluated=len(test) - len(judged),
        apart={part: sum(label.part is part for label, _ in said) for part in (Part.TRAIN, Part.VALIDATION)},
    )


def _agreement(judged: Sequence[tuple[str, str]]) -> Estimate | None:
    return share_estimate(sum(label == finding for label, finding in judged), len(judged)) if judged else None
