"""Films for these tests: phantoms that no other test has."""

from copy import deepcopy
from datetime import UTC, datetime
from itertools import count

from pydicom import Dataset
from pydicom.uid import generate_uid

from radstream.phantoms.dicom import phantom

_numbers = count()
SIDE = 256
EXPLICIT = "1.2.840.10008.1.2.1"


def film(syntax: str = EXPLICIT, **changed: object) -> Dataset:
    """Make a phantom of its own, some of its elements changed; None takes one away."""
    now = datetime.now(UTC)
    made = phantom(int(now.timestamp() * 1e6), next(_numbers), now, syntax)
    for keyword, value in changed.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    return made


def small() -> Dataset:
    """Make a phantom whose pixels are reduced: it costs little to send and to decode."""
    made = film()
    step = -(-made.Rows // SIDE), -(-made.Columns // SIDE)
    pixels = made.pixel_array[:: step[0], :: step[1]].copy()
    made.Rows, made.Columns = pixels.shape
    made.PixelData = pixels.tobytes()
    return made


def again(one: Dataset) -> Dataset:
    """Make the same film under other UIDs: another image of another study."""
    copy = deepcopy(one)
    copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    copy.StudyInstanceUID = generate_uid()
    return copy


def films(number: int) -> list[Dataset]:
    """Make many at little cost."""
    first = small()
    return [again(first) for _ in range(number)]
