"""The phantoms: valid DX objects that look like a chest, say what they are, and repeat by seed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import UID, HTJ2KLossless, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless

from radstream.phantoms.anatomy import GRID, chest
from radstream.phantoms.dicom import COMMENT, SYNTAXES, phantom, write_phantoms
from radstream.phantoms.scanners import SCANNERS, expose

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

DECODER_OF = {
    JPEGBaseline8Bit: imagecodecs.jpeg8_decode,
    JPEGLosslessSV1: imagecodecs.jpeg8_decode,
    JPEGLSLossless: imagecodecs.jpegls_decode,
    JPEG2000Lossless: imagecodecs.jpeg2k_decode,
    HTJ2KLossless: imagecodecs.htj2k_decode,
}


def pixels(data_set: Dataset) -> NDArray[Any]:
    """Decode a phantom by a library that is not the one pydicom would choose."""
    decode = DECODER_OF.get(data_set.file_meta.TransferSyntaxUID)
    if decode is None:
        return data_set.pixel_array
    return np.asarray(decode(next(generate_frames(data_set.PixelData, number_of_frames=1))))


@pytest.mark.parametrize("syntax", sorted(set(SYNTAXES)), ids=lambda uid: UID(uid).keyword)
def test_each_transfer_syntax_decodes_to_the_same_chest(syntax: str, tmp_path: Path) -> None:
    """A phantom's pixels survive its encoding: exactly where lossless, within a few levels where lossy."""
    plain = pixels(phantom(3, 0, AT, SYNTAXES[0]))
    coded = phantom(3, 0, AT, syntax)
    coded.save_as(tmp_path / "one.dcm", enforce_file_format=True)

    read = pixels(dcmread(tmp_path / "one.dcm"))

    if syntax == JPEGBaseline8Bit:
        assert np.abs(read.astype(int) - (plain >> 4)).max() < 16
    else:
        assert np.array_equal(read, plain)


def test_bits_stored_agree_with_the_codestream_and_the_values() -> None:
    """No stored value exceeds Bits Stored, in any scanner and syntax (PS3.5 8.2)."""
    for number in range(len(SCANNERS) * 2):
        made = phantom(11, number, AT)

        assert pixels(made).max() < 2**made.BitsStored
        assert made.HighBit == made.BitsStored - 1


def test_same_seed_same_bytes_and_another_seed_another_phantom(tmp_path: Path) -> None:
    """Seed and number are all that a phantom depends on."""
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder, seed in zip(folders, (1, 1, 2), strict=True):
        folder.mkdir()
        write_phantoms(folder, 2, seed, AT)

    first, again, other = ([path.read_bytes() for path in sorted(folder.iterdir())] for folder in folders)

    assert first == again
    assert all(one != two for one, two in zip(first, other, strict=True))


def test_says_that_it_is_a_phantom_of_no_patient() -> None:
    """Nobody can take a phantom for a patient: name, id and comment say so."""
    made = phantom(5, 1, AT)

    assert made.ImageComments == COMMENT
    assert "phantom" in made.SeriesDescription.lower()
    assert str(made.PatientName).startswith("PHANTOM^")
    assert str(made.PatientID).startswith("PHANTOM-")


def test_uids_are_valid_and_derived_by_the_standard() -> None:
    """UIDs stand under 2.25 and keep to 64 characters (PS3.5 9.1, B.2), each its own."""
    made = [phantom(seed, 0, AT) for seed in range(5)]
    uids = [UID(value) for one in made for value in (one.SOPInstanceUID, one.StudyInstanceUID, one.SeriesInstanceUID)]

    assert all(uid.is_valid and uid.startswith("2.25.") for uid in uids)
    assert len(set(uids)) == len(uids)


def test_lungs_are_darker_than_the_middle_and_the_abdomen() -> None:
    """The map has the gross anatomy of a chest: air at the sides, dense in the middle and below."""
    for seed in range(8):
        drawn = chest(np.random.default_rng(seed), opacities=False)
        across, down = np.array([0.27, 0.73]) * GRID, 0.45 * GRID

        lungs = drawn[int(down), across.astype(int)].mean()

        assert lungs < 0.4 < drawn[int(down), GRID // 2]
        assert lungs < drawn[int(0.93 * GRID), int(0.3 * GRID)]


def test_opacities_make_lungs_denser_and_nothing_else() -> None:
    """An opacity adds attenuation in the lungs alone."""
    clear, opaque = (chest(np.random.default_rng(4), opacities=flag) for flag in (False, True))
    added = opaque - clear

    assert added.max() > 0.1
    assert added.min() > -1e-4
    assert added[: GRID // 20].max() < 0.02


def test_monochrome1_stores_the_inverse() -> None:
    """In MONOCHROME1 dense parts have low values (PS3.3 C.7.6.3.1.2)."""
    scanner = next(one for one in SCANNERS if one.photometric == "MONOCHROME1")
    stored = expose(chest(np.random.default_rng(2), opacities=False), scanner, np.random.default_rng(2))

    assert stored[scanner.rows // 2, scanner.columns // 2] < stored[2, 2]


def test_scanners_differ_and_cover_the_bit_depths() -> None:
    """Several makers, both photometric interpretations and 8 to 16 bits come in turn."""
    assert {one.bits for one in SCANNERS} >= {8, 10, 12, 14, 16}
    assert {one.photometric for one in SCANNERS} == {"MONOCHROME1", "MONOCHROME2"}
    assert len({one.manufacturer for one in SCANNERS}) >= 3
