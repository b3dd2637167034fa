"""Pictures become DX objects of synthetic patients, the same each time."""

import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit

from consumers.imaging.wrap import JPEG, PNG, UnreadablePicture, as_part10, wrap
from radstream.commands.send_files import files_of, film_of
from schemas.errors import NotEvaluable
from schemas.words import Reason


def ramp(dtype: Any = np.uint8, shape: tuple[int, ...] = (31, 41)) -> NDArray[Any]:
    """Draw a picture with an odd number of pixels."""
    top = np.iinfo(dtype).max
    flat = np.linspace(0, top, int(np.prod(shape)))
    return flat.astype(dtype).reshape(shape)


def part10(data_set: Dataset) -> Dataset:
    """Write and read again, as a listener would."""
    buffer = io.BytesIO()
    data_set.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)


def test_the_same_picture_gives_the_same_object() -> None:
    """UIDs and patient come from the content alone, so a repeat is the same image to the listener."""
    picture = imagecodecs.png_encode(ramp())
    first, again = (part10(wrap(picture)) for _ in range(2))

    assert first == again
    assert UID(first.SOPInstanceUID).is_valid
    assert first.SOPInstanceUID.startswith("2.25.")


def test_another_picture_is_another_patient() -> None:
    """No two pictures share an identifier."""
    one, two = (wrap(imagecodecs.png_encode(ramp(shape=shape))) for shape in ((8, 8), (8, 9)))

    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID"):
        assert one[keyword].value != two[keyword].value


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_grey_png_keeps_its_pixels(dtype: Any) -> None:
    """8 and 16 bits go in without loss."""
    read = part10(wrap(imagecodecs.png_encode(ramp(dtype))))

    assert read.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(read.pixel_array, ramp(dtype))


def test_a_grey_baseline_jpeg_goes_in_as_it_is() -> None:
    """The JPEG's own bytes become the frame: no second loss."""
    picture = imagecodecs.jpeg8_encode(ramp())
    read = part10(wrap(picture))

    assert read.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert next(generate_frames(read.PixelData, number_of_frames=1)).startswith(picture)


def test_a_colour_picture_becomes_brightness() -> None:
    """DX holds one sample a pixel: colour is reduced by BT.601, transparency dropped."""
    colour = np.zeros((4, 4, 4), np.uint8)
    colour[..., 1], colour[..., 3] = 200, 255

    read = part10(wrap(imagecodecs.png_encode(colour)))

    assert set(np.unique(read.pixel_array)) == {round(200 * 0.587)}


def test_what_a_picture_does_not_say_is_not_invented() -> None:
    """No view and no body part: the result will ask for a review. The patient says that it is synthetic."""
    made = wrap(imagecodecs.png_encode(ramp()))

    assert "ViewPosition" not in made
    assert "BodyPartExamined" not in made
    assert str(made.PatientName).startswith("SYNTHETIC^")


@pytest.mark.parametrize("broken", [b"\x89PNG\r\n\x1a\nrest", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff" + b"x" * 500])
def test_a_broken_picture_is_no_image(broken: bytes, tmp_path: Path) -> None:
    """A file that only begins like a picture is `not_dicom`, without a traceback."""
    path = tmp_path / "broken.png"
    path.write_bytes(broken)

    with pytest.raises(UnreadablePicture):
        wrap(broken)
    assert film_of(path, tmp_path) is None


def test_folders_are_read_in_order_without_labels_and_hidden_files(tmp_path: Path) -> None:
    """What lies beside the images for other programs is not sent."""
    for name in ("b/2.png", "a/1.png", "labels.csv", ".hidden", ".git/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    assert [path.name for path in files_of([tmp_path])] == ["1.png", "2.png"]


@pytest.mark.parametrize("preamble", [PNG, JPEG])
def test_a_file_whose_preamble_looks_like_a_picture_is_dicom(preamble: bytes) -> None:
    """PS3.10 7.1 leaves the first 128 bytes to anybody."""
    whole = preamble.ljust(128, b"\0") + b"DICM" + b"the rest"

    assert as_part10(whole) == whole


@pytest.mark.parametrize("encode", [imagecodecs.png_encode, imagecodecs.jpeg8_encode])
def test_a_picture_becomes_the_file_that_send_makes(encode: Any, tmp_path: Path) -> None:
    """Byte for byte, so that both ways give the same numbers."""
    picture = tmp_path / "picture"
    picture.write_bytes(encode(ramp()))
    film = film_of(picture, tmp_path)

    assert film is not None
    assert as_part10(picture.read_bytes()) == film.part10.read_bytes()


def test_a_bomb_is_refused_by_its_header() -> None:
    """Before any memory is taken for its pixels: here there are none."""
    heads = [
        PNG + bytes.fromhex("0000000d49484452 0000ea60 0000ea60"),
        JPEG[:2] + bytes.fromhex("ffc0 000b 08 ffff ffff 01"),
    ]

    for head in heads:
        with pytest.raises(UnreadablePicture, match="pixels can't be wrapped"):
            wrap(head + bytes(20))
    with pytest.raises(NotEvaluable) as caught:
        as_part10(heads[0] + bytes(20))
    assert caught.value.reason is Reason.UNDECODABLE
