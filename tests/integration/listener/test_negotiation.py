"""What is negotiated before an image: rejections, roles, windows, users, classes; and timers."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)

from dicom_listener.standard.contexts import STORAGE_CLASSES
from dicom_listener.standard.statuses import StoreStatus
from dicom_listener.users import line_of
from tests.integration.listener.conftest import Listening
from tests.integration.listener.films import film
from tests.integration.listener.raw_scu import ABORT, ACCEPT, CHEST, EXPLICIT, REJECT, Closed, Pdu, RawScu
from tests.running import until

pytestmark = pytest.mark.stack

PRIVATE_CLASS = "1.2.826.0.1.3680043.8.498.77.2"
CONTEXTS_OF_ONE = 128  # PS3.8 9.3.2.2


class Altered(RawScu):
    """Changes its A-ASSOCIATE-RQ on the way."""

    def __init__(self, port: int, change: Callable[[bytes], bytes], called_ae: str = "RADSTREAM") -> None:
        super().__init__(port, called_ae=called_ae)
        self._change = change

    def send(self, data: bytes) -> None:
        super().send(self._change(data) if data[0] == 1 else data)


def _version(number: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:6] + struct.pack(">H", number) + data[8:]


def _another_application(data: bytes) -> bytes:
    return data.replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9")


def _told(pdu: Pdu) -> tuple[int, ...] | int:
    return tuple(pdu.body[1:]) if pdu.kind == REJECT else pdu.kind


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_another_application, (1, 1, 2)),
        (_version(2), (1, 2, 2)),
        (_version(3), ACCEPT),  # PS3.8 9.3.2: only bit 0 is tested
        (_version(1), ACCEPT),
    ],
    ids=["application context", "version without bit 0", "two versions", "our version"],
)
def test_a_request_is_rejected_with_source_and_reason(
    change: Callable[[bytes], bytes], told: object, shared_listening: Listening
) -> None:
    """PS3.8 9.3.4."""
    with Altered(shared_listening.port, change) as scu:
        assert _told(scu.associate()) == told


def test_another_called_ae_is_rejected_when_told_to(listen: Callable[..., Listening]) -> None:
    """RADSTREAM_CHECK_CALLED_AE: 1/1/7 for another title than ours and the routes'."""
    listening = listen(RADSTREAM_CHECK_CALLED_AE="1")

    told = {}
    for called_ae in ("RADSTREAM", "RADSTREAM_STAT", "SOMEBODY"):
        with RawScu(listening.port, called_ae=called_ae) as scu:
            told[called_ae] = _told(scu.associate())

    assert told == {"RADSTREAM": ACCEPT, "RADSTREAM_STAT": ACCEPT, "SOMEBODY": (1, 1, 7)}


def _associate(listening: Listening, *items: object, classes: list[str] | None = None) -> Association:
    ae = AE("PYNET")
    for uid in classes or [CHEST]:
        ae.add_requested_context(uid, EXPLICIT)
    return ae.associate("127.0.0.1", listening.port, ae_title="RADSTREAM", ext_neg=list(items))  # type: ignore[arg-type]


def test_every_storage_class_is_accepted(shared_listening: Listening) -> None:
    """All that pynetdicom knows, in as few associations as hold them."""
    classes = sorted(STORAGE_CLASSES)
    accepted: list[str] = []

    for at in range(0, len(classes), CONTEXTS_OF_ONE):
        assoc = _associate(shared_listening, classes=classes[at : at + CONTEXTS_OF_ONE])
        accepted += [str(context.abstract_syntax) for context in assoc.accepted_contexts]
        assoc.release()

    assert sorted(accepted) == classes


def test_windows_and_roles_are_answered_and_the_rest_ignored(shared_listening: Listening) -> None:
    """One operation at a time; the requestor is the user; SOP class extended negotiation gets no answer."""
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 8
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = CHEST, True, True  # type: ignore[assignment]
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = CHEST, b"\x02\x00"  # type: ignore[assignment]

    assoc = _associate(shared_listening, window, role, extended)

    assert assoc.is_established
    assert assoc.acceptor.asynchronous_operations == (1, 1)
    assert [(one.scu_role, one.scp_role) for one in assoc.acceptor.role_selection.values()] == [(True, False)]
    assert assoc.acceptor.sop_class_extended == {}
    assert [context.as_scu for context in assoc.accepted_contexts] == [True]
    assoc.release()


def _user(name: str, passcode: str | None = None) -> UserIdentityNegotiation:
    item = UserIdentityNegotiation()
    item.user_identity_type = 1 if passcode is None else 2
    item.positive_response_requested = True
    item.primary_field = name.encode()
    if passcode is not None:
        item.secondary_field = passcode.encode()
    return item


def test_users_are_checked(listen: Callable[..., Listening], tmp_path: Path) -> None:
    """The right passcode gets in and its positive response; a wrong one, a stranger and nobody at all 1/2/1."""
    file = tmp_path / "users"
    file.write_text(f"{line_of('anna', 'secret')}\nct1\n", "utf-8")
    listening = listen(RADSTREAM_USER_IDENTITY=str(file))

    for user in (_user("anna", "secret"), _user("ct1")):
        assoc = _associate(listening, user)
        assert assoc.is_established
        assert assoc.acceptor.user_identity is not None
        assert assoc.acceptor.user_identity.server_response in {b"", None}
        assoc.release()
    for refused in ([_user("anna", "wrong")], [_user("anna")], [_user("otto", "secret")], []):
        assoc = _associate(listening, *refused)
        answer = assoc.acceptor.primitive
        assert assoc.is_rejected
        assert answer is not None
        assert (answer.result, answer.result_source, answer.diagnostic) == (1, 2, 1)
    assert "secret" not in listening.service.log.read_text()


def test_a_class_that_nobody_knows_is_stored_when_told_to(listen: Callable[..., Listening]) -> None:
    """RADSTREAM_ACCEPT_UNKNOWN_CLASSES=1: a private SOP class is stored as it came."""
    listening = listen(RADSTREAM_ACCEPT_UNKNOWN_CLASSES="1")
    one = film()

    with RawScu(listening.port) as scu:
        assert scu.associate(PRIVATE_CLASS).kind == ACCEPT
        assert scu.store(one.data(SOPClassUID=PRIVATE_CLASS), one.uid, PRIVATE_CLASS) == StoreStatus.SUCCESS

    (event,) = listening.events(one)
    assert event.sop_class_uid == PRIVATE_CLASS


def test_a_peer_that_never_asks_is_closed(listen: Callable[..., Listening]) -> None:
    """RADSTREAM_ARTIM_SECONDS: from the connection to the whole request, however slowly its bytes drip."""
    listening = listen(RADSTREAM_ARTIM_SECONDS="1")

    with RawScu(listening.port) as scu:
        scu.send(b"\x01\x00\x00")
        with pytest.raises(Closed):
            scu.receive()


def test_a_peer_that_stops_within_a_message_is_given_up(listen: Callable[..., Listening]) -> None:
    """RADSTREAM_DIMSE_SECONDS: half an object, then silence; nothing of it is left."""
    listening = listen(RADSTREAM_DIMSE_SECONDS="1")
    one = film()

    with RawScu(listening.port) as scu:
        assert scu.associate().kind == ACCEPT
        scu.command(one.uid)
        scu.data(one.data()[:5000], last=False)
        with pytest.raises(Closed):
            scu.receive()

    until(lambda: not listening.waiting(), 10, "a file was left")


def test_an_idle_association_is_aborted(listen: Callable[..., Listening]) -> None:
    """RADSTREAM_IDLE_SECONDS: an association without a message ends, and its slot is free."""
    listening = listen(RADSTREAM_IDLE_SECONDS="1", RADSTREAM_MAXIMUM_ASSOCIATIONS="1")

    with RawScu(listening.port) as scu:
        assert scu.associate().kind == ACCEPT
        assert scu.receive().kind == ABORT

    def room() -> bool:
        with RawScu(listening.port) as scu:
            return scu.associate().kind == ACCEPT

    until(room, 10, "the slot is not free")


def test_an_association_has_one_line(listen: Callable[..., Listening]) -> None:
    """Who, how it ended and why, images, bytes and seconds; once for each association."""
    listening = listen(RADSTREAM_ALLOWED_AES="RAW")
    one = film()
    listening.send(one)
    with RawScu(listening.port, "STRANGER") as scu:
        scu.associate()

    def lines() -> list[dict[str, object]]:
        text = listening.service.log.read_text().splitlines()
        return [line for line in map(json.loads, text) if line["event"] == "association ended"]

    until(lambda: len(lines()) == 2, 10, "lines are missing")
    stored, refused = lines()
    assert (stored["calling_ae"], stored["state"], stored["images"]) == ("RAW", "released", 1)
    assert len(one.data()) < int(str(stored["bytes"])) < len(one.data()) + 2000
    assert (refused["calling_ae"], refused["state"], refused["cause"]) == ("STRANGER", "rejected", "calling_ae")
    assert one.uid not in listening.service.log.read_text()
