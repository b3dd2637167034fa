"""Synthetic radiographs and the DICOM objects that carry them, made here: no patient, no shared folder."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from consumers.imaging.preprocess import InputSpec

ENCAPSULATED = ("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5")
Build = Callable[..., bytes]


@pytest.fixture(scope="session")
def film() -> NDArray[np.uint16]:
    """Draw a smooth picture with noise, 12 bits in 16, odd in both sizes."""
    rows, columns = np.mgrid[0:211, 0:173]
    noise = np.random.default_rng(1).normal(0, 12, rows.shape)
    return np.clip(2000 + 1700 * np.sin(columns / 31) * np.cos(rows / 43) + noise, 0, 4095).astype(np.uint16)


@pytest.fixture
def spec() -> InputSpec:
    """Give the shipped network's input."""
    return InputSpec(224, 224, (0.498,) * 3, (0.502,) * 3)


@pytest.fixture(scope="session")
def dx() -> Build:
    """Make a frontal chest film as Part 10 bytes; None takes a tag away, pixels may be bytes of any kind."""
    return part10


def part10(
    pixels: NDArray[np.generic],
    *,
    syntax: str = "1.2.840.10008.1.2.1",
    frame: bytes | None = None,
    bits: int = 0,
    **tags: object,
) -> bytes:
    """Build the object; `frame` is the encoded form of `pixels`, whose shape and type fill the tags."""
    allocated = pixels.dtype.itemsize * 8
    stored = bits or allocated
    described: dict[str, object] = {
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1",
        "SOPInstanceUID": "1.2.3.4",
        "Modality": "DX",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": allocated,
        "BitsStored": stored,
        "HighBit": stored - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
    }
    ds = Dataset()
    for keyword, value in (described | tags).items():
        if value is not None:
            setattr(ds, keyword, value)
    encoded = frame if frame is not None else pixels.tobytes()
    compressed = syntax.startswith(ENCAPSULATED)
    if "PixelData" not in tags:
        ds.PixelData = encapsulate([encoded]) if compressed else encoded
        ds["PixelData"].VR = "OW" if allocated > 8 and not compressed else "OB"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    file = BytesIO()
    pydicom.dcmwrite(file, ds, enforce_file_format=True)
    return file.getvalue()
