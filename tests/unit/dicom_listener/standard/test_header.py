"""The header walk: what it reads, in every encoding, and how it meets lies."""

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from dicom_listener.standard.header import WANTED, header_of_file, read_header
from schemas.errors import UnparsableDataSet

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
PN_UTF8 = "Jürgen^Ärmel"


def _film(**more: object) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3"
    ds.Modality, ds.PatientName, ds.PatientID = "DX", PN_UTF8, "P1"
    ds.StudyInstanceUID = "1.2.4"
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    return ds


def _bytes(ds: Dataset, syntax: str) -> bytes:
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = syntax == IMPLICIT, syntax != BIG
    write_dataset(out, ds)
    return out.getvalue()


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_it_reads_every_encoding(syntax: str) -> None:
    """Byte order and explicit VR come from the transfer syntax, characters from the data set."""
    header = read_header(memoryview(_bytes(_film(), syntax)), syntax)

    assert (header.get("sop_instance_uid"), header.get("patient_name")) == ("1.2.3", PN_UTF8)
    assert header.get("manufacturer") is None


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("undefined", [True, False])
def test_it_steps_over_sequences(syntax: str, *, undefined: bool) -> None:
    """What stands within a sequence is not taken for the image's own, whatever the length's form."""
    inner = Dataset()
    inner.PatientID = "SOMEONE ELSE"
    outer = Dataset()
    outer.ReferencedStudySequence = Sequence([inner, inner])
    ds = _film(ReferencedStudySequence=Sequence([outer]))
    for item in (ds.ReferencedStudySequence, outer.ReferencedStudySequence):
        item.is_undefined_length = undefined
        for one in item:
            one.is_undefined_length_sequence_item = undefined
    ds["ReferencedStudySequence"].is_undefined_length = undefined
    outer["ReferencedStudySequence"].is_undefined_length = undefined

    header = read_header(memoryview(_bytes(ds, syntax)), syntax)

    assert (header.get("patient_id"), header.get("study_instance_uid")) == ("P1", "1.2.4")


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small_implicit.dcm", "JPEG2000.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm"]
)
def test_it_agrees_with_pydicom_on_real_files(name: str) -> None:
    """Every wanted value of a real file, read in place."""
    path = Path(str(get_testdata_file(name, download=False)))
    dataset = dcmread(path)
    offset = 132 + 12 + dataset.file_meta.FileMetaInformationGroupLength

    header = header_of_file(path, offset, path.stat().st_size, str(dataset.file_meta.TransferSyntaxUID))

    for tag, wanted in WANTED.items():
        if tag in dataset and wanted != "specific_character_set":
            value = dataset[tag].value
            text = "\\".join(value) if isinstance(value, list) else str(value if value is not None else "")
            assert (header.get(wanted) or "") == text.strip()


def test_a_header_longer_than_the_first_look_is_read_whole(tmp_path: Path) -> None:
    """Cut within an element or between two, every value is found; no byte behind `end` counts."""
    plain = _bytes(_film(), EXPLICIT)
    patient = plain.index(struct.pack("<HH", 0x0010, 0x0010))
    for padding in (32 * 1024 - 12 - patient, 64 * 1024):
        private = struct.pack("<HH2sHI", 0x0009, 0x0001, b"UN", 0, padding) + b"\0" * padding
        data = plain[:patient] + private + plain[patient:]
        path = tmp_path / f"{padding}"
        path.write_bytes(data + b"what stands behind")

        header = header_of_file(path, 0, len(data), EXPLICIT)

        assert header == read_header(memoryview(plain), EXPLICIT)


def test_truncated_pixels_are_none_of_its_business() -> None:
    """The walk ends where the pixels begin."""
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 1_000_000) + b"short"

    assert read_header(memoryview(_bytes(_film(), EXPLICIT) + pixels), EXPLICIT).get("modality") == "DX"


def test_a_deflated_bomb_is_looked_at_and_not_unpacked(tmp_path: Path) -> None:
    """A gigabyte that packs into one megabyte costs no gigabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = packer.compress(_bytes(_film(), EXPLICIT) + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 2**30))
    bomb += b"".join(packer.compress(bytes(2**20)) for _ in range(64)) + packer.flush()
    path = tmp_path / "bomb"
    path.write_bytes(bomb)

    assert header_of_file(path, 0, path.stat().st_size, DEFLATED).get("modality") == "DX"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08\x00",
        b"\xff" * 64,
        _bytes(_film(), EXPLICIT)[:-3],
        _bytes(_film(), EXPLICIT) * 2,
        struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 0xFFFFFFF0),
        struct.pack("<HH2sHI", 0x0008, 0x1110, b"SQ", 0, 0xFFFFFFFF) + b"\xfe\xff\x00\xe0" + b"\xff" * 4,
    ],
    ids=["empty", "half a tag", "noise", "cut", "tags twice", "a lying length", "an endless sequence"],
)
def test_what_is_no_data_set_is_refused(data: bytes) -> None:
    """By the one error that becomes 0xC000."""
    with pytest.raises(UnparsableDataSet):
        read_header(memoryview(data), EXPLICIT)


@given(st.binary(max_size=300), st.sampled_from([IMPLICIT, EXPLICIT, BIG]))
def test_noise_is_a_header_or_an_error_of_ours(noise: bytes, syntax: str) -> None:
    """No other exception leaves the walk, and it ends."""
    try:
        read_header(memoryview(noise), syntax)
    except UnparsableDataSet:
        return


def test_sequences_too_deep_are_refused() -> None:
    """Nested beyond reason: an error of ours, no RecursionError."""
    deep = b"".join(
        struct.pack("<HH2sHI", 0x0008, 0x1110, b"SQ", 0, 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
        for _ in range(5000)
    )

    with pytest.raises(UnparsableDataSet, match="deep"):
        read_header(memoryview(deep), EXPLICIT)


def test_an_unknown_character_set_is_read_as_latin_1() -> None:
    """A wrong Specific Character Set is no reason to refuse an image."""
    ds = _film()
    data = _bytes(ds, EXPLICIT).replace(b"ISO_IR 192", b"ISO_IR 999")

    assert read_header(memoryview(data), EXPLICIT).get("patient_id") == "P1"
