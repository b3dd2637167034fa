"""A data folder that can't be trained on is said to be so, before any training."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from consumers.imaging.inputs import InputSpec
from schemas.errors import WrongCall
from training.datasets import read_parts
from training.splits import Part

CLASSES = ("NORMAL", "PNEUMONIA")
SPEC = InputSpec(16, 16, (0.5,) * 3, (0.5,) * 3)
PATIENTS = {"p0": Part.TRAIN, "person1": Part.VALIDATION, "p4": Part.TEST}


def folder_with(path: Path, rows: str) -> Path:
    """Write labels.csv, and an image of any file name that it needs."""
    (path / "labels.csv").write_text(rows)
    cv2.imwrite(str(path / "a.png"), np.full((20, 20), 9, np.uint8))
    (path / "broken.png").write_bytes(b"no image")
    return path


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", "no rows"),
        ("file,label\na.png,NORMAL\n", "columns"),
        ("file,label,patient\na.png,TUBERCULOSIS,p0\n", "TUBERCULOSIS"),
        ("file,label,patient\na.png,NORMAL,p0\n", "more patients"),
        ("file,label,patient\nabsent.png,NORMAL,p0\na.png,PNEUMONIA,p0\n", "missing or no image"),
        ("file,label,patient\nbroken.png,NORMAL,p0\na.png,PNEUMONIA,p0\n", "missing or no image"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(rows: str, said: str, tmp_path: Path) -> None:
    """Which column, label, part or file."""
    with pytest.raises(WrongCall, match=said):
        read_parts(folder_with(tmp_path, rows), CLASSES, SPEC)


def test_each_patient_s_films_are_all_in_one_part(tmp_path: Path) -> None:
    """Whatever their labels."""
    rows = "".join(f"a.png,{label},{patient}\n" for patient in PATIENTS for label in CLASSES for _ in range(2))

    parts = read_parts(folder_with(tmp_path, "file,label,patient\n" + rows), CLASSES, SPEC)

    assert {part: (len(one), one.patients) for part, one in parts.items()} == dict.fromkeys(Part, (4, 1))
    assert parts[Part.TRAIN].labels.tolist() == [0, 0, 1, 1]
    assert parts[Part.TRAIN].images.shape == (4, 16, 16)
