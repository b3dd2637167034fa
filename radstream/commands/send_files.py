"""What `send` sends: the files of the paths given, read just far enough to propose their presentation contexts."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from consumers.imaging.wrap import UnreadablePicture, is_picture, wrap

#: Names that no sender means: other programs' notes in the same folders.
PASSED_BY = frozenset({"labels.csv", "DICOMDIR"})
_FIRST_BYTES = 16
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID")


@dataclass(frozen=True, slots=True)
class Film:
    """One Part 10 file that can be sent as it stands."""

    file: Path  # what the person named
    part10: Path  # what is sent: the file itself, or the object that a picture was wrapped in
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str


def files_of(paths: Iterable[Path]) -> list[Path]:
    """List files, and what lies in folders, in the order of names; hidden files and labels are passed by."""
    return [file for path in paths for file in (_folder(path) if path.is_dir() else (path,))]


def _folder(path: Path) -> Iterator[Path]:
    for file in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if file.is_file() and not hidden and file.name not in PASSED_BY:
            yield file


def film_of(file: Path, wrapped: Path) -> Film | None:
    """Read one file's header, or wrap a picture into the folder `wrapped`; None where it is neither."""
    try:
        with file.open("rb") as opened, warnings.catch_warnings(action="ignore"):
            first = opened.read(_FIRST_BYTES)
            part10 = _wrapped(file, wrapped) if is_picture(first) else file
            data_set = dcmread(part10, stop_before_pixels=True, specific_tags=list(_NEEDED))
        # The file meta's names are what the command will say (PS3.10 7.1); a lying one is for the listener to refuse.
        return Film(
            file=file,
            part10=part10,
            sop_class_uid=str(data_set.file_meta.MediaStorageSOPClassUID),
            sop_instance_uid=str(data_set.file_meta.MediaStorageSOPInstanceUID),
            study_instance_uid=str(data_set.get("StudyInstanceUID", "")),
            transfer_syntax_uid=str(data_set.file_meta.TransferSyntaxUID),
        )
    except (OSError, EOFError, InvalidDicomError, UnreadablePicture, AttributeError, ValueError, KeyError):
        return None


def _wrapped(file: Path, folder: Path) -> Path:
    data_set = wrap(file.read_bytes())
    part10 = folder / f"{data_set.SOPInstanceUID}.dcm"
    data_set.save_as(part10, enforce_file_format=True)
    return part10
