"""STOW-RS without a socket: a file's beginning, a body's pieces, what stands before it, the response."""

import io
import json
import socket
import threading
from email.message import Message
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_listener.standard.part10 import preamble_and_meta
from dicom_listener.standard.statuses import StoreStatus
from dicom_listener.stow.body import BadLength, Dropped, NoLength, PatientReader, TooLarge, TooSlow, body
from dicom_listener.stow.file import FileHead
from dicom_listener.stow.parts import Strange
from dicom_listener.stow.request import Refused, StowTerms, admitted, stow_terms
from dicom_listener.stow.words import FAILURE_OF, Outcome, StowFailure, response_of, status_of
from radstream.settings import Settings
from schemas.errors import SettingInvalid, UnparsableDataSet
from schemas.words import Lane

CLASS, INSTANCE, SYNTAX = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3", "1.2.840.10008.1.2.1"
FILE = preamble_and_meta(CLASS, INSTANCE, SYNTAX) + b"the data set"
TYPE = 'multipart/related; type="application/dicom"; boundary=b'
TERMS = StowTerms(
    address="127.0.0.1",
    port=1,
    calling_ae="STOWRS",
    called_ae="RADSTREAM",
    token=None,
    request_bytes=100,
    requests=1,
    idle_seconds=1.0,
    sender_seconds=1.0,
    strange=Strange(),
)
BAD_HEADS = {
    "no DICM": b"\0" * 128 + b"MCID" + FILE[132:],
    "no length first": FILE[:132] + FILE[144:],
    "a length of 4 GiB": FILE[:140] + b"\xff\xff\xff\xff" + FILE[144:],
    "an element too long": FILE[:152] + b"\xff\xff" + FILE[154:],
}


@given(st.integers(1, len(FILE)))
def test_a_file_head_is_read_in_pieces_of_any_size(size: int) -> None:
    """However the bytes arrive, the meta is the same and the data set's first bytes follow."""
    head = FileHead()
    meta = None
    rest = b""
    for at in range(0, len(FILE), size):
        piece = memoryview(FILE)[at : at + size]
        if meta is None:
            meta = head.take(piece)
            rest = bytes(head.rest) if meta else b""
        else:
            rest += piece

    assert meta is not None
    assert (meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid) == (CLASS, INSTANCE, SYNTAX)
    assert rest == b"the data set"
    assert INSTANCE not in repr(meta).replace(CLASS, "").replace(SYNTAX, "")


@pytest.mark.parametrize("fault", BAD_HEADS)
def test_a_file_head_that_lies_is_unparsable(fault: str) -> None:
    """No length is believed before it is checked."""
    with pytest.raises(UnparsableDataSet):
        FileHead().take(memoryview(BAD_HEADS[fault]))


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5))
def test_chunks_are_put_together(chunks: list[bytes]) -> None:
    """Whatever the chunks, the body is their bytes; extensions and trailers are stepped over."""
    wire = b"".join(b"%x;a=b\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nTrailer: x\r\n\r\n"

    read = b"".join(body(_headers(transfer_encoding="chunked"), _stream(wire), 1000))

    assert read == b"".join(chunks)


@pytest.mark.parametrize(
    ("headers", "wire", "error"),
    [
        ({}, b"", NoLength),
        ({"content_length": "5"}, b"abc", Dropped),
        ({"content_length": "101"}, b"", TooLarge),
        ({"content_length": "+5"}, b"", BadLength),
        ({"content_length": "5", "transfer_encoding": "chunked"}, b"", BadLength),
        ({"transfer_encoding": "gzip, chunked"}, b"", BadLength),
        ({"transfer_encoding": "chunked"}, b"65\r\n", TooLarge),
        ({"transfer_encoding": "chunked"}, b"-1\r\n", BadLength),
        ({"transfer_encoding": "chunked"}, b"1\r\nab\r\n", BadLength),
        ({"transfer_encoding": "chunked"}, b"1\r\na", Dropped),
        ({"transfer_encoding": "chunked"}, b"1" * 2000, BadLength),
        ({"transfer_encoding": "chunked"}, b"0\r\n" + b"T: x\r\n" * 100, BadLength),
    ],
)
def test_a_body_that_lies_is_told_apart(headers: dict[str, str], wire: bytes, error: type[Exception]) -> None:
    """Each fault is an error of its own."""
    with pytest.raises(error):
        list(body(_headers(**headers), _stream(wire), 100))


def test_time_spent_waiting_adds_up() -> None:
    """Ten waits, each well under the limit of silence, are over the limit of all."""
    ours, theirs = socket.socketpair()
    over = threading.Event()

    def trickle() -> None:
        while not over.wait(0.1):
            theirs.send(b"x")

    def ten_waits() -> None:
        for _ in range(10):
            assert reader.readinto(memoryview(bytearray(1)))

    with ours, theirs:
        sender = threading.Thread(target=trickle)
        sender.start()
        reader = PatientReader(ours, idle_seconds=30.0, sender_seconds=0.3)
        try:
            with pytest.raises(TooSlow):
                ten_waits()
        finally:
            over.set()
            sender.join()


def test_study_and_lane_are_the_targets() -> None:
    """The sender's AE is ours to say, whatever the headers."""
    sender, boundary = admitted("/studies/1.2.3?lane=stat", _headers(content_type=TYPE), TERMS)

    assert (sender.study_instance_uid, sender.lane, sender.calling_ae) == ("1.2.3", Lane.STAT, "STOWRS")
    assert boundary == b"b"


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/dicom+json", None),
        ("text/html, */*;q=0.1", None),
        ("application/dicom+xml", HTTPStatus.NOT_ACCEPTABLE),
        ("application/dicom+json;q=0, text/plain", HTTPStatus.NOT_ACCEPTABLE),
    ],
)
def test_responses_are_json_alone(accept: str, status: HTTPStatus | None) -> None:
    """406 where the sender wants something else."""
    headers = _headers(content_type=TYPE, accept=accept)

    if status is None:
        assert admitted("/studies", headers, TERMS)
        return
    with pytest.raises(Refused) as refused:
        admitted("/studies", headers, TERMS)
    assert refused.value.status is status


def test_an_open_door_beyond_loopback_needs_a_token() -> None:
    """Anybody could store there: a wrong setting."""
    with pytest.raises(SettingInvalid, match="RADSTREAM_STOW_TOKEN"):
        stow_terms(Settings.from_environment({"RADSTREAM_STOW_ADDRESS": "0.0.0.0"}))  # noqa: S104 - what is refused
    assert "secret" not in repr(
        stow_terms(Settings.from_environment({"RADSTREAM_STOW_ADDRESS": "::", "RADSTREAM_STOW_TOKEN": "secret"}))
    )


def test_every_failure_of_a_c_store_has_its_reason() -> None:
    """What reception refuses, a response can say."""
    assert set(FAILURE_OF) == set(StoreStatus) - {StoreStatus.SUCCESS}


@pytest.mark.parametrize(
    ("failures", "status"),
    [
        ([], HTTPStatus.BAD_REQUEST),
        ([None], HTTPStatus.OK),
        ([None, StowFailure.OUT_OF_RESOURCES], HTTPStatus.ACCEPTED),
        ([StowFailure.CANNOT_UNDERSTAND, StowFailure.OUT_OF_RESOURCES], HTTPStatus.CONFLICT),
        ([StowFailure.OUT_OF_RESOURCES], HTTPStatus.SERVICE_UNAVAILABLE),
    ],
)
def test_the_status_follows_from_the_outcomes(failures: list[StowFailure | None], status: HTTPStatus) -> None:
    """Success is never said of what was not stored."""
    assert status_of([Outcome(failure, CLASS, INSTANCE) for failure in failures]) is status


def test_what_is_no_uid_is_not_written_into_a_response() -> None:
    """A malformed UID's failure stands among the others."""
    module = json.loads(response_of([Outcome(StowFailure.CANNOT_UNDERSTAND, CLASS, "../1")]))

    assert set(module) == {"00081190", "0008119A"}


def _headers(**fields: str) -> Message:
    headers = Message()
    for name, value in fields.items():
        headers[name.replace("_", "-")] = value
    return headers


def _stream(wire: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(wire))  # type: ignore[arg-type] # a raw stream reads alike
