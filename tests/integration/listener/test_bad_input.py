"""Every row of INTERFACE.md's table that is the listener's, over a real socket."""

import socket
import struct
from collections.abc import Callable

import pytest
from pydicom.uid import JPEGBaseline8Bit

from dicom_listener.standard.statuses import StoreStatus
from tests.integration.listener.conftest import Listening
from tests.integration.listener.films import film
from tests.integration.listener.raw_scu import (
    ABORT,
    ACCEPT,
    CHEST,
    EXPLICIT,
    LAST_COMMAND,
    LAST_DATA,
    P_DATA,
    REJECT,
    Closed,
    Pdu,
    RawScu,
    pdv,
)
from tests.running import until

pytestmark = pytest.mark.stack

PRIVATE_SYNTAX = "1.2.826.0.1.3680043.8.498.77.1"
Outcome = int | str


def _ends(scu: RawScu) -> Outcome:
    """Say how the listener ended it."""
    try:
        pdu = scu.receive()
    except Closed:
        return "closed"
    return "aborted" if pdu.kind == ABORT else f"PDU {pdu.kind}"


def _garbage(port: int) -> Outcome:
    with RawScu(port) as scu:
        scu.send(b"GET / HTTP/1.1\r\nHost: listener\r\n\r\n")
        return _ends(scu)


def _associate_of_4_gib(port: int) -> Outcome:
    with RawScu(port) as scu:
        scu.send(struct.pack(">BBI", 1, 0, 0xFFFFFFFF))
        return _ends(scu)


def _p_data_first(port: int) -> Outcome:
    with RawScu(port) as scu:
        scu.send(pdv(LAST_COMMAND, b"\0" * 20))
        return _ends(scu)


def _p_data_of_4_gib(port: int) -> Outcome:
    return _after_associating(port, struct.pack(">BBI", P_DATA, 0, 0xFFFFFFFF))


def _p_data_over_the_limit(port: int) -> Outcome:
    return _after_associating(port, struct.pack(">BBI", P_DATA, 0, 131072 + 1))


def _pdv_longer_than_its_pdu(port: int) -> Outcome:
    return _after_associating(port, struct.pack(">BBIIBB", P_DATA, 0, 10, 0x7FFFFFFF, 1, LAST_COMMAND) + bytes(4))


def _pdv_of_nothing(port: int) -> Outcome:
    return _after_associating(port, struct.pack(">BBIIBB", P_DATA, 0, 6, 0, 1, LAST_COMMAND))


def _command_without_end(port: int) -> Outcome:
    return _after_associating(port, pdv(1, bytes(16000)) * 3)


def _command_of_noise(port: int) -> Outcome:
    return _after_associating(port, pdv(LAST_COMMAND, b"\x07" * 64))


def _data_set_without_command(port: int) -> Outcome:
    return _after_associating(port, pdv(LAST_DATA, bytes(60_000)) * 2)


def _context_that_was_not_accepted(port: int) -> Outcome:
    with RawScu(port) as scu:
        assert scu.associate(CHEST, PRIVATE_SYNTAX).kind == ACCEPT
        scu.command("1.2.3")
        return _ends(scu)


def _after_associating(port: int, data: bytes) -> Outcome:
    with RawScu(port) as scu:
        assert scu.associate().kind == ACCEPT
        scu.send(data)
        return _ends(scu)


def _stored(data: bytes, uid: str, sop_class: str = CHEST) -> Callable[[int], Outcome]:
    def send(port: int) -> Outcome:
        with RawScu(port) as scu:
            assert scu.associate().kind == ACCEPT
            return scu.store(data, uid, sop_class)

    return send


GOOD = film()
NO_STUDY = GOOD.data(StudyInstanceUID=None)
LYING_ELEMENT = GOOD.data()[:8] + struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 0xFFFFFFF0) + GOOD.data()[8:]

ROWS: dict[str, tuple[Callable[[int], Outcome], Outcome]] = {
    "bytes that are no upper layer": (_garbage, "aborted"),
    "an A-ASSOCIATE-RQ of 4 GiB": (_associate_of_4_gib, "aborted"),
    "P-DATA before an association": (_p_data_first, "aborted"),
    "a P-DATA of 4 GiB": (_p_data_of_4_gib, "aborted"),
    "a P-DATA over the negotiated limit": (_p_data_over_the_limit, "aborted"),
    "a PDV longer than its PDU": (_pdv_longer_than_its_pdu, "aborted"),
    "a PDV of nothing": (_pdv_of_nothing, "aborted"),
    "a command set without end": (_command_without_end, "aborted"),
    "a command set of noise": (_command_of_noise, "aborted"),
    "a data set without a command": (_data_set_without_command, "aborted"),
    "a context that was not accepted": (_context_that_was_not_accepted, "aborted"),
    "a UID of 65 characters": (_stored(GOOD.data(), "1." + "2" * 63), StoreStatus.INVALID_SOP_INSTANCE),
    "a UID that is a path": (_stored(GOOD.data(), "../../etc/passwd"), StoreStatus.INVALID_SOP_INSTANCE),
    "an empty UID": (_stored(GOOD.data(), ""), StoreStatus.INVALID_SOP_INSTANCE),
    "another UID in the data set": (_stored(GOOD.data(), "1.2.3"), StoreStatus.DATA_SET_DOES_NOT_MATCH),
    "another class in the data set": (
        _stored(GOOD.data(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), GOOD.uid),
        StoreStatus.DATA_SET_DOES_NOT_MATCH,
    ),
    "a class that is not its context's": (
        _stored(GOOD.data(), GOOD.uid, "1.2.840.10008.5.1.4.1.1.7"),
        StoreStatus.SOP_CLASS_NOT_SUPPORTED,
    ),
    "a data set of noise": (_stored(b"\xde\xad\xbe\xef" * 500, GOOD.uid), StoreStatus.CANNOT_UNDERSTAND),
    "an empty data set": (_stored(b"", GOOD.uid), StoreStatus.CANNOT_UNDERSTAND),
    "a data set without a study": (_stored(NO_STUDY, GOOD.uid), StoreStatus.CANNOT_UNDERSTAND),
    "an element that says 4 GiB": (_stored(LYING_ELEMENT, GOOD.uid), StoreStatus.CANNOT_UNDERSTAND),
    "a header cut short": (_stored(GOOD.data()[:120], GOOD.uid), StoreStatus.CANNOT_UNDERSTAND),
}


@pytest.mark.parametrize("row", ROWS)
def test_bad_input_gets_its_answer_and_harms_nobody(row: str, shared_listening: Listening) -> None:
    """The right status or abort; no file, no event; the process lives; the next good image passes."""
    send, expected = ROWS[row]
    pid = shared_listening.service.pid

    outcome = send(shared_listening.port)

    assert outcome == expected
    until(lambda: not shared_listening.waiting(), 5, "a file was left in the spool")
    assert not shared_listening.rows(GOOD)
    good = film()
    assert shared_listening.send(good) == StoreStatus.SUCCESS
    assert len(shared_listening.events(good)) == 1
    assert shared_listening.service.pid == pid
    assert shared_listening.service.running


def test_truncated_pixels_are_stored_as_they_came(shared_listening: Listening) -> None:
    """What can't be decoded is no reason to refuse: the object has the sender's bytes."""
    one = film()
    cut = one.data()[:-2000]

    assert shared_listening.send(one, cut) == StoreStatus.SUCCESS

    (event,) = shared_listening.events(one)
    assert shared_listening.object_of(event).endswith(cut)


def test_an_association_dropped_half_way_leaves_nothing(shared_listening: Listening) -> None:
    """No event, no object, no spool file."""
    one = film()

    with RawScu(shared_listening.port) as scu:
        assert scu.associate().kind == ACCEPT
        scu.command(one.uid)
        scu.data(one.data()[:5000], last=False)
        until(shared_listening.waiting, 5, "nothing arrived")

    until(lambda: not shared_listening.waiting(), 5, "a spool file was left")
    assert not shared_listening.rows(one)
    assert not shared_listening.events(one)


def test_an_abort_half_way_leaves_nothing(shared_listening: Listening) -> None:
    """An A-ABORT within a data set ends the object, too."""
    one = film()

    with RawScu(shared_listening.port) as scu:
        assert scu.associate().kind == ACCEPT
        scu.command(one.uid)
        scu.data(one.data()[:5000], last=False)
        scu.send(struct.pack(">BBIBBBB", ABORT, 0, 4, 0, 0, 0, 0))
        assert _ends(scu) == "closed"

    until(lambda: not shared_listening.waiting(), 5, "a spool file was left")
    assert not shared_listening.rows(one)


def _rejection(pdu: Pdu) -> tuple[int, ...]:
    assert pdu.kind == REJECT
    return tuple(pdu.body[1:])


def test_an_unknown_calling_ae_is_rejected(listen: Callable[..., Listening]) -> None:
    """A-ASSOCIATE-RJ 1/1/3: rejected permanently, by the service user, calling AE title not recognised."""
    listening = listen(RADSTREAM_ALLOWED_AES="CT1,RAW2")

    with RawScu(listening.port, calling_ae="STRANGER") as scu:
        assert _rejection(scu.associate()) == (1, 1, 3)
    with RawScu(listening.port, calling_ae="RAW2") as scu:
        assert scu.associate().kind == ACCEPT


def test_too_many_associations_are_rejected_for_now(listen: Callable[..., Listening]) -> None:
    """A-ASSOCIATE-RJ 2/3/2: rejected transiently, presentation, local limit exceeded; later there is room again."""
    listening = listen(RADSTREAM_MAXIMUM_ASSOCIATIONS="2")

    with RawScu(listening.port) as one, RawScu(listening.port) as two, RawScu(listening.port) as three:
        assert one.associate().kind == ACCEPT
        assert two.associate().kind == ACCEPT
        assert _rejection(three.associate()) == (2, 3, 2)
        one.release()

    def room() -> bool:
        with RawScu(listening.port) as scu:
            return scu.associate().kind == ACCEPT

    until(room, 10, "no room again")


def test_peers_that_connect_and_go_take_no_place(shared_listening: Listening) -> None:
    """Port scans and health checks are over when they are over: they don't count for half a minute more."""
    for _ in range(300):
        socket.create_connection(("127.0.0.1", shared_listening.port)).close()

    assert shared_listening.send(film()) == StoreStatus.SUCCESS


def test_an_unknown_transfer_syntax_is_refused_by_its_context(shared_listening: Listening) -> None:
    """The association stands, the context's result is 4 (PS3.8 9.3.3.2)."""
    with RawScu(shared_listening.port) as scu:
        answer = scu.associate(CHEST, PRIVATE_SYNTAX)

    assert answer.kind == ACCEPT
    context = answer.body[answer.body.index(b"\x21\x00") :]
    assert context[6] == 4


def test_an_unknown_transfer_syntax_is_stored_when_told_to(listen: Callable[..., Listening]) -> None:
    """RADSTREAM_ACCEPT_UNKNOWN_SYNTAXES=1: the object is stored as it came, even if nobody can read its header."""
    listening = listen(RADSTREAM_ACCEPT_UNKNOWN_SYNTAXES="1")
    one = film()
    strange = b"\x01\x02\x03" * 100

    with RawScu(listening.port) as scu:
        scu.associate(CHEST, PRIVATE_SYNTAX)
        assert scu.store(strange, one.uid) == StoreStatus.SUCCESS

    until(lambda: [row["state"] for row in listening.rows(one)] == ["acknowledged"], 20, "not noted in the journal")


def test_a_standard_syntax_is_taken_as_the_sender_prefers(shared_listening: Listening) -> None:
    """Of what a sender offers in one context its first is accepted: it sends what it has."""
    with RawScu(shared_listening.port) as scu:
        answer = scu.associate(CHEST, JPEGBaseline8Bit, EXPLICIT)

    assert str(JPEGBaseline8Bit).encode() in answer.body
