"""A PNG or JPEG picture as a DX object of a synthetic patient: the same picture gives the same object.

What a bare picture does not say is not invented: no view and no body part, so its result asks for a review.
"""

import hashlib
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, JPEGBaseline8Bit

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"

#: Pictures above this many pixels are refused: the limit of a DX detector is a tenth of it.
MAX_PIXELS = 200_000_000

_COLOUR_AXES = 3
#: ITU-R BT.601: the brightness of red, green and blue, as JPEG itself weighs them.
_LUMA = np.array([0.299, 0.587, 0.114])
_SOF_BASELINE = 0xC0
_FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # ITU-T T.81 table B.1
_GREY_8_BITS = (8, 1)


class UnreadablePicture(Exception):
    """The bytes are no picture that can be wrapped."""


def is_picture(first: bytes) -> bool:
    """Say whether a file that begins so is a PNG or a JPEG."""
    return first.startswith((PNG, JPEG))


def wrap(picture: bytes) -> Dataset:
    """Make the DX object (PS3.3 A.26) of a picture; raise UnreadablePicture.

    A grey baseline JPEG goes in as it is; anything else is decoded and stored plain.
    """
    data_set = Dataset()
    for keyword, value in _values(picture).items():
        setattr(data_set, keyword, value)
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.MediaStorageSOPClassUID = data_set.SOPClassUID
    data_set.file_meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID
    _add_pixels(data_set, picture)
    return data_set


def derived_uid(picture: bytes, what: str) -> str:
    """Derive a UID from a picture's content (PS3.5 B.2): `2.25.` and 128 bits of a SHA-256."""
    digest = hashlib.sha256(what.encode() + b"\0" + picture).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def _values(picture: bytes) -> dict[str, Any]:
    name = hashlib.sha256(picture).hexdigest()[:12].upper()
    return {
        "SpecificCharacterSet": "ISO_IR 192",
        "ImageType": ["DERIVED", "PRIMARY"],
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "SOPInstanceUID": derived_uid(picture, "instance"),
        "StudyInstanceUID": derived_uid(picture, "study"),
        "SeriesInstanceUID": derived_uid(picture, "series"),
        "StudyDate": "",
        "StudyTime": "",
        "AccessionNumber": "",
        "Modality": "DX",
        "PresentationIntentType": "FOR PRESENTATION",
        "ConversionType": "WSD",
        "Manufacturer": "",
        "ReferringPhysicianName": "",
        "StudyDescription": "Wrapped picture",
        "PatientName": f"SYNTHETIC^{name}",
        "PatientID": f"SYNTHETIC-{name}",
        "PatientBirthDate": "",
        "PatientSex": "",
        "StudyID": "",
        "SeriesNumber": "1",
        "InstanceNumber": "1",
        "PatientOrientation": "",
        "ImageComments": "A picture wrapped by RadStream; the patient is synthetic",
        "PixelIntensityRelationship": "LOG",
        "PixelIntensityRelationshipSign": -1,
        "RescaleSlope": "1",
        "RescaleIntercept": "0",
        "RescaleType": "US",
        "PresentationLUTShape": "IDENTITY",
    }


def _add_pixels(data_set: Dataset, picture: bytes) -> None:
    grey = _grey(picture)
    as_it_is = picture.startswith(JPEG) and _jpeg_frame(picture) == (_SOF_BASELINE, *_GREY_8_BITS)
    bits = grey.dtype.itemsize * 8
    data_set.SamplesPerPixel, data_set.PhotometricInterpretation = 1, "MONOCHROME2"
    data_set.Rows, data_set.Columns = grey.shape
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = bits, bits, bits - 1
    data_set.PixelRepresentation = 0
    data_set.LossyImageCompression = "01" if picture.startswith(JPEG) else "00"
    if as_it_is:
        data_set.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        data_set.PixelData = encapsulate([picture])
    else:
        data_set.file_meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)
        data_set.PixelData = grey.astype(grey.dtype.newbyteorder("<")).tobytes() + b"\0" * (grey.nbytes % 2)
    data_set["PixelData"].VR = "OB" if as_it_is or grey.dtype.itemsize == 1 else "OW"


def _grey(picture: bytes) -> NDArray[Any]:
    """Decode a picture to grey [H, W], uint8 or uint16; colour becomes brightness, transparency is dropped."""
    decode = imagecodecs.png_decode if picture.startswith(PNG) else imagecodecs.jpeg8_decode
    try:
        image = np.asarray(decode(picture))
    except (RuntimeError, ValueError, MemoryError) as error:  # imagecodecs' errors are RuntimeErrors
        raise UnreadablePicture(f"{len(picture)} bytes don't decode") from error
    if image.size == 0 or image.shape[0] * image.shape[1] > MAX_PIXELS or image.dtype.kind != "u":
        raise UnreadablePicture(f"a picture of {image.shape} {image.dtype} can't be wrapped")
    if image.ndim == _COLOUR_AXES and image.shape[2] < _COLOUR_AXES:  # grey and alpha
        image = image[..., 0]
    if image.ndim == _COLOUR_AXES:
        image = np.round(image[..., :_COLOUR_AXES] @ _LUMA).astype(image.dtype)
    return np.ascontiguousarray(image)


def _jpeg_frame(picture: bytes) -> tuple[int, int, int] | None:
    """Read the frame header (ITU-T T.81 B.2.2): marker's second byte, bits a sample, components."""
    at = 2
    while at + 9 < len(picture) and picture[at] == JPEG[0]:
        marker, length = picture[at + 1], int.from_bytes(picture[at + 2 : at + 4], "big")
        if marker in _FRAME_HEADERS:
            return marker, picture[at + 4], picture[at + 9]
        at += 2 + length
    return None
