"""Phantoms as plain DX objects (PS3.3 A.26): synthetic patients, UIDs under 2.25 (PS3.5 B.2), several syntaxes."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from radstream.phantoms.anatomy import chest
from radstream.phantoms.scanners import SCANNERS, Scanner, expose
from radstream.phantoms.syntaxes import EIGHT_BITS, ENCODER_OF, WHOLE_CONTAINER, eight_bits

#: Stands in each phantom: nobody shall take one for a patient.
COMMENT = "RadStream phantom: synthetic, no patient"

#: The syntaxes in turn; what PACS send most comes most.
SYNTAXES: tuple[str, ...] = (
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    ExplicitVRLittleEndian,
    JPEGLSLossless,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    RLELossless,
    JPEG2000Lossless,
)

#: The share of phantoms with opacities.
OPAQUE_SHARE = 0.4

#: How long before the sending a phantom was "acquired", at most (minutes).
ACQUIRED_MINUTES = 20


def phantom(seed: int, number: int, at: datetime, transfer_syntax_uid: str | None = None) -> Dataset:
    """Make one phantom of a run: the same arguments give the same bytes.

    The scanner and (where none is asked for) the transfer syntax go by `number`, all else by `seed` and `number`.
    """
    rng = np.random.default_rng([seed, number])
    scanner = SCANNERS[number % len(SCANNERS)]
    syntax = transfer_syntax_uid or SYNTAXES[number % len(SYNTAXES)]
    attenuation = chest(rng, opacities=bool(rng.random() < OPAQUE_SHARE))
    data_set = _described(scanner, rng, at)
    _add_pixels(data_set, expose(attenuation, scanner, rng), scanner, syntax)
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = UID(syntax)
    data_set.file_meta.MediaStorageSOPClassUID = data_set.SOPClassUID
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    return data_set


def write_phantoms(folder: Path, count: int, seed: int, at: datetime) -> list[Path]:
    """Write `count` phantoms of one run as Part 10 files."""
    paths = [folder / f"phantom-{number:04d}.dcm" for number in range(count)]
    for number, path in enumerate(paths):
        phantom(seed, number, at).save_as(path, enforce_file_format=True)
    return paths


def _uid(rng: np.random.Generator) -> str:
    return f"2.25.{int.from_bytes(rng.bytes(16), 'big')}"


def _described(scanner: Scanner, rng: np.random.Generator, at: datetime) -> Dataset:
    """Write everything but the pixels."""
    acquired = at - timedelta(minutes=float(rng.uniform(0, ACQUIRED_MINUTES)))
    who = int(rng.integers(10**8))
    data_set = Dataset()
    data_set.update(_values(scanner, who))
    data_set.SOPInstanceUID, data_set.StudyInstanceUID, data_set.SeriesInstanceUID = (_uid(rng) for _ in range(3))
    data_set.StudyDate = data_set.ContentDate = data_set.AcquisitionDate = acquired.strftime("%Y%m%d")
    data_set.StudyTime = data_set.ContentTime = data_set.AcquisitionTime = acquired.strftime("%H%M%S")
    data_set.TimezoneOffsetFromUTC = "+0000"
    data_set.PatientAge = f"{int(rng.integers(18, 90)):03d}Y"
    data_set.PatientSex = str(rng.choice(["F", "M", "O"], p=[0.48, 0.48, 0.04]))
    data_set.ViewPosition = str(rng.choice(["PA", "AP"], p=[0.7, 0.3]))
    data_set.KVP = str(int(rng.integers(90, 126)))
    data_set.Exposure = str(int(rng.integers(1, 8)))
    data_set.AnatomicRegionSequence = [_code("43799004", "SCT", "Chest")]
    return data_set


def _values(scanner: Scanner, who: int) -> Dataset:
    """Write what does not vary, or varies with the scanner only."""
    fixed: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "ImageType": ["DERIVED", "PRIMARY"],
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "Modality": "DX",
        "PresentationIntentType": "FOR PRESENTATION",
        "Manufacturer": scanner.manufacturer,
        "ManufacturerModelName": scanner.model_name,
        "StationName": scanner.station,
        "DeviceSerialNumber": f"PHANTOM-{scanner.station}",
        "InstitutionName": "RadStream phantoms",
        "StudyDescription": "RadStream phantom chest",
        "SeriesDescription": "RadStream phantom",
        "ImageComments": COMMENT,
        "PatientName": f"PHANTOM^{who:08d}",
        "PatientID": f"PHANTOM-{who:08d}",
        "PatientBirthDate": "",
        "AccessionNumber": f"P{who:08d}",
        "ReferringPhysicianName": "",
        "StudyID": "1",
        "SeriesNumber": "1",
        "InstanceNumber": "1",
        "BodyPartExamined": "CHEST",
        "Laterality": "",
        "ImageLaterality": "U",
        "PatientOrientation": ["L", "F"],
        "PositionerType": "NONE",
        "DetectorType": "DIRECT",
        "ImagerPixelSpacing": [0.3, 0.3],
        "BurnedInAnnotation": "NO",
        "AcquisitionContextSequence": [],
    }
    data_set = Dataset()
    for keyword, value in fixed.items():
        setattr(data_set, keyword, value)
    return data_set


def _add_pixels(data_set: Dataset, stored: NDArray[Any], scanner: Scanner, syntax: str) -> None:
    """Write the Image Pixel, Modality LUT and VOI LUT modules (PS3.3 C.7.6.3, C.11.1, C.11.2)."""
    frame, bits = stored, scanner.bits
    if syntax in EIGHT_BITS:
        frame, bits = eight_bits(stored, scanner.bits), min(8, scanner.bits)
    scale = 2**bits
    if syntax in WHOLE_CONTAINER:
        bits = frame.dtype.itemsize * 8
    inverse = scanner.photometric == "MONOCHROME1"
    data_set.SamplesPerPixel, data_set.PhotometricInterpretation = 1, scanner.photometric
    data_set.Rows, data_set.Columns = frame.shape
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = frame.dtype.itemsize * 8, bits, bits - 1
    data_set.PixelRepresentation = 0
    data_set.PixelIntensityRelationship, data_set.PixelIntensityRelationshipSign = "LOG", 1 if inverse else -1
    data_set.RescaleSlope, data_set.RescaleIntercept = (str(number) for number in scanner.rescale)
    data_set.RescaleType = "US"
    slope, intercept = scanner.rescale
    data_set.WindowCenter = str(round(scanner.window[0] * scale * slope + intercept, 1))
    data_set.WindowWidth = str(round(scanner.window[1] * scale * slope, 1))
    data_set.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"
    data_set.LossyImageCompression = "01" if syntax in EIGHT_BITS else "00"
    if syntax in ENCODER_OF:
        data_set.PixelData = encapsulate([ENCODER_OF[syntax](frame, bits)])
    else:
        data_set.PixelData = frame.astype(frame.dtype.newbyteorder("<")).tobytes() + b"\0" * (frame.nbytes % 2)
    data_set["PixelData"].VR = "OB" if syntax in ENCODER_OF or frame.dtype.itemsize == 1 else "OW"


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code
