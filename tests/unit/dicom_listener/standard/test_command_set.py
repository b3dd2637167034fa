"""Command sets of C-STORE, against pynetdicom's own encoder and against noise."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID
from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.dsutils import decode, encode

from dicom_listener.standard.command_set import StoreRequest, store_request, store_response
from schemas.errors import UnparsableDataSet

SOP_CLASS, INSTANCE = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3.45"


def _store() -> C_STORE:
    primitive = C_STORE()
    primitive.MessageID = 7
    primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = UID(SOP_CLASS), UID(INSTANCE)
    primitive.Priority = 1
    primitive.DataSet = BytesIO(b"\0\0")
    return primitive


def test_it_reads_what_pynetdicom_writes() -> None:
    """All that we use of a C-STORE request."""
    message = C_STORE_RQ()
    message.primitive_to_message(_store())
    command = encode(message.command_set, is_implicit_vr=True, is_little_endian=True)

    assert store_request(command or b"") == StoreRequest(7, SOP_CLASS, INSTANCE, 1)


def test_pynetdicom_reads_what_we_answer() -> None:
    """Status, message id and UIDs of the response."""
    response = decode(
        BytesIO(store_response(StoreRequest(7, SOP_CLASS, INSTANCE, 0), 0xA700)),
        is_implicit_vr=True,
        is_little_endian=True,
    )

    assert (response.CommandField, response.MessageIDBeingRespondedTo, response.Status) == (0x8001, 7, 0xA700)
    assert (response.AffectedSOPClassUID, response.AffectedSOPInstanceUID) == (SOP_CLASS, INSTANCE)


def test_other_commands_are_left_to_pynetdicom() -> None:
    """A C-ECHO is none of ours."""
    primitive = C_ECHO()
    primitive.MessageID = 1
    message = C_ECHO_RQ()
    message.primitive_to_message(primitive)

    assert store_request(encode(message.command_set, is_implicit_vr=True, is_little_endian=True) or b"") is None


@given(st.binary(max_size=200))
def test_noise_is_a_command_or_an_error_of_ours(noise: bytes) -> None:
    """No other exception leaves the parser."""
    try:
        store_request(noise)
    except UnparsableDataSet:
        return


@given(st.integers(min_value=1, max_value=100))
def test_a_cut_command_is_refused(kept: int) -> None:
    """An element that ends too early is no command."""
    whole = store_response(StoreRequest(7, SOP_CLASS, INSTANCE, 0), 0)
    ends = _element_ends(whole)
    if kept in ends:
        return

    with pytest.raises(UnparsableDataSet):
        store_request(whole[:kept])


def _element_ends(command: bytes) -> set[int]:
    ends, at = {0}, 0
    while at < len(command):
        at += 8 + int.from_bytes(command[at + 4 : at + 8], "little")
        ends.add(at)
    return ends
