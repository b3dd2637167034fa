"""A folder of labelled films: `labels.csv` with file, label and patient, and the images that it names."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from consumers.imaging.preprocess import InputSpec, resize
from schemas.errors import WrongCall
from training.splits import Part, part_of

COLUMNS = frozenset({"file", "label", "patient"})


@dataclass(frozen=True, slots=True)
class Film:
    """One row of labels.csv."""

    file: str
    label: str
    patient: str


@dataclass(frozen=True, slots=True)
class Examples:
    """One part of a data set in memory: grey uint8 [N, H, W] at the network's size, and class indices int64 [N]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    patients: int

    def __len__(self) -> int:
        """Count the films."""
        return len(self.labels)


def read_films(folder: Path, classes: Sequence[str]) -> tuple[Film, ...]:
    """Read labels.csv; raises WrongCall when it is missing, has other columns or names an unknown class."""
    path = folder / "labels.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise WrongCall(f"{path} can't be read ({error.strerror}); --data wants a folder with labels.csv") from error
    if not rows or not set(rows[0]) >= COLUMNS:
        raise WrongCall(f"{path} has no rows or lacks one of the columns {', '.join(sorted(COLUMNS))}")
    films = tuple(Film(row["file"], row["label"], row["patient"]) for row in rows)
    strange = sorted({film.label for film in films} - set(classes))
    if strange:
        raise WrongCall(f"{path} has the labels {strange}, which are not among the classes {list(classes)}")
    return films


def read_examples(folder: Path, films: Sequence[Film], classes: Sequence[str], spec: InputSpec) -> Examples:
    """Read the films' pixels through the preprocessing that serving uses."""
    images = np.empty((len(films), spec.height, spec.width), np.uint8)
    for index, film in enumerate(films):
        grey = cv2.imread(str(folder / film.file), cv2.IMREAD_GRAYSCALE)
        if grey is None:
            raise WrongCall(f"{film.file} of {folder} is missing or no image")
        images[index] = resize(grey.astype(np.uint8, copy=False), spec)
    labels = np.array([classes.index(film.label) for film in films], np.int64)
    return Examples(images, labels, len({film.patient for film in films}))


def read_parts(folder: Path, classes: Sequence[str], spec: InputSpec) -> dict[Part, Examples]:
    """Read all three parts; raises WrongCall when one of them lacks a class."""
    films = read_films(folder, classes)
    parts: dict[Part, Examples] = {}
    for part in Part:
        chosen = [film for film in films if part_of(film.patient) is part]
        missing = set(classes) - {film.label for film in chosen}
        if missing:
            raise WrongCall(f"the {part} part of {folder} has no film of {sorted(missing)}: more patients are needed")
        parts[part] = read_examples(folder, chosen, classes, spec)
    return parts
