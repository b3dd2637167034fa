"""Synthetic radiographs of a given size, whose identity can be renewed in place: no receiver sees one twice."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

#: Nominal size in MB (of 10^6 bytes) and the square of 16-bit pixels that has it.
SIDE_OF = {0.5: 512, 10.0: 2240, 50.0: 5000}

_ROOT = b"2.25."
_LOWEST, _HIGHEST = 10**38, 3 * 10**38  # below 2^128 (PS3.5 B.2), always 39 digits
_HEAD_BYTES = 4096  # every UID of ours stands before the pixels


@dataclass(frozen=True, slots=True)
class SyntheticFilm:
    """A file and where its UIDs stand in it."""

    path: Path
    instance_at: tuple[int, ...]  # offsets (bytes)
    study_at: tuple[int, ...]

    def renew(self) -> None:
        """Make it another image of another study, for receivers and hashes alike."""
        with self.path.open("r+b") as file:
            for places in (self.instance_at, self.study_at):
                uid = _uid()
                for place in places:
                    file.seek(place)
                    file.write(uid)


def make_films(folder: Path, size_mb: float, count: int) -> list[SyntheticFilm]:
    """Write `count` DX images of random pixels; raise KeyError for a size that SIDE_OF does not list."""
    folder.mkdir(parents=True, exist_ok=True)
    side = SIDE_OF[size_mb]
    rng = np.random.default_rng(1)
    return [_write(folder / f"{number:05d}.dcm", side, rng) for number in range(count)]


def _write(path: Path, side: int, rng: np.random.Generator) -> SyntheticFilm:
    data_set = Dataset()
    instance, study = _uid().decode(), _uid().decode()
    data_set.SOPClassUID, data_set.SOPInstanceUID = DigitalXRayImageStorageForPresentation, instance
    data_set.StudyInstanceUID = data_set.SeriesInstanceUID = study
    data_set.Modality, data_set.PatientID, data_set.PatientName = "DX", "BENCH", "RadStream^Benchmark"
    data_set.BodyPartExamined, data_set.ViewPosition, data_set.PatientSex = "CHEST", "PA", "O"
    data_set.Rows = data_set.Columns = side
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = 16, 12, 11
    data_set.SamplesPerPixel, data_set.PixelRepresentation = 1, 0
    data_set.PhotometricInterpretation = "MONOCHROME2"
    data_set.PixelData = rng.integers(0, 4096, (side, side), dtype=np.uint16).tobytes()
    data_set["PixelData"].VR = "OW"
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data_set.save_as(path, enforce_file_format=True)
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return SyntheticFilm(path, _places(head, instance), _places(head, study))


def _places(head: bytes, uid: str) -> tuple[int, ...]:
    found, at = [], head.find(uid.encode())
    while at >= 0:
        found.append(at)
        at = head.find(uid.encode(), at + 1)
    return tuple(found)


def _uid() -> bytes:
    return _ROOT + str(random.randrange(_LOWEST, _HIGHEST)).encode()  # noqa: S311 - no secret
