"""File meta of our own: deterministic, and what pydicom reads in it."""

from io import BytesIO

from pydicom import dcmread

from dicom_listener.standard.part10 import IMPLEMENTATION_CLASS_UID, preamble_and_meta

SOP_CLASS, UID, SYNTAX = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3.45", "1.2.840.10008.1.2.4.50"


def test_pydicom_reads_what_we_wrote() -> None:
    """Every element of PS3.10 7.1 is there, with a right group length."""
    meta = dcmread(BytesIO(preamble_and_meta(SOP_CLASS, UID, SYNTAX))).file_meta

    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (SOP_CLASS, UID)
    assert (meta.TransferSyntaxUID, meta.ImplementationClassUID) == (SYNTAX, IMPLEMENTATION_CLASS_UID)
    assert meta.FileMetaInformationVersion == b"\0\1"


def test_the_group_length_ends_where_the_data_set_begins() -> None:
    """A reader that trusts the group length lands on the data set."""
    head = preamble_and_meta(SOP_CLASS, UID, SYNTAX)

    assert 132 + 12 + int.from_bytes(head[140:144], "little") == len(head)


def test_it_depends_on_nothing_but_the_image() -> None:
    """The same image makes the same object; another syntax makes another."""
    assert preamble_and_meta(SOP_CLASS, UID, SYNTAX) == preamble_and_meta(SOP_CLASS, UID, SYNTAX)
    assert preamble_and_meta(SOP_CLASS, UID, SYNTAX) != preamble_and_meta(SOP_CLASS, UID, "1.2.840.10008.1.2")
