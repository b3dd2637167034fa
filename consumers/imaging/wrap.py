"""A PNG or JPEG picture as a DX object of a synthetic patient: the same picture gives the same object.

What a bare picture does not say is not invented: no view and no body part, so its result asks for a review.
"""

import hashlib
import struct
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, JPEGBaseline8Bit

from consumers.imaging.part10 import MAGIC, PREAMBLE
from schemas.errors import NotEvaluable
from schemas.words import Reason

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
_IHDR_AT = 16  # behind the signature, the chunk's length and its name


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


def as_part10(content: bytes | memoryview) -> bytes | memoryview:
    """Give a Part 10 file: the content itself, or what `wrap` makes of a picture; raise NotEvaluable.

    A preamble may look like a picture (PS3.10 7.1), so DICM behind it goes first.
    """
    if content[PREAMBLE : PREAMBLE + len(MAGIC)] == MAGIC or not is_picture(bytes(content)):
        return content
    try:
        data_set = wrap(bytes(content))
    except UnreadablePicture as error:
        raise NotEvaluable(Reason.UNDECODABLE, str(error)) from error
    written = BytesIO()
    data_set.save_as(written, enforce_file_format=True)
    return written.getvalue()


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
    if (declared := _declared_pixels(picture)) > MAX_PIXELS:  # before any memory is taken for them
        raise UnreadablePicture(f"a picture of {declared} pixels can't be wrapped")
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


def _declared_pixels(picture: bytes) -> int:
    """Multiply width and height as the header says them (PNG 3 11.2.1, ITU-T T.81 B.2.2); 0 where it can't be read.

    >>> _declared_pixels(PNG + bytes.fromhex("0000000d49484452 00000100 00000200"))
    131072
    """
    if picture.startswith(PNG):
        found = struct.unpack_from(">II", picture, _IHDR_AT) if len(picture) >= _IHDR_AT + 8 else (0, 0)
    else:
        at = _jpeg_frame_at(picture)
        found = struct.unpack_from(">HH", picture, at + 5) if at is not None else (0, 0)
    return int(found[0]) * int(found[1])


def _jpeg_frame(picture: bytes) -> tuple[int, int, int] | None:
    """Read the frame header (ITU-T T.81 B.2.2): marker's second byte, bits a sample, components."""
    at = _jpeg_frame_at(picture)
    return None if at is None else (picture[at + 1], picture[at + 4], picture[at + 9])


def _jpeg_frame_at(picture: bytes) -> int | None:
    """Find the frame header's marker."""
    at = 2
    while at + 9 < len(picture) and picture[at] == JPEG[0]:
        if picture[at + 1] in _FRAME_HEADERS:
            return at
        at += 2 + int.from_bytes(picture[at + 2 : at + 4], "big")
    return None
