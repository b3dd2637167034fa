"""Storage commitment (PS3.4 annex J): nothing is promised that isn't durable, and each promise is kept."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt

from dicom_listener.commitment_words import PUSH_MODEL, WELL_KNOWN_INSTANCE, ActionStatus, EventType, FailureReason
from dicom_listener.statuses import StoreStatus
from radstream.stack.site import Site
from tests.integration.listener.conftest import Listening
from tests.integration.listener.films import Film, film
from tests.integration.listener.raw_scu import CHEST
from tests.integration.listener.test_outages import away
from tests.running import free_port, until

pytestmark = pytest.mark.stack

TITLE = "MODALITY"
NOT_COMMITTED = FailureReason.PROCESSING_FAILURE
OTHER_CLASS = "1.2.840.10008.5.1.4.1.1.2"


@dataclass
class Report:
    """A report as it came."""

    transaction_uid: str
    event: int
    committed: list[str]
    failed: dict[str, int]
    role_proposed: bool = False


@dataclass
class Modality:
    """A modality that asks for commitment and takes reports, on its door or where it asked."""

    listener_port: int
    door: int = field(default_factory=free_port)
    reports: list[Report] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)  # statuses for the reports to come; Success when there are none
    _server: object = None

    @property
    def peers(self) -> str:
        return f"{TITLE}=127.0.0.1:{self.door}"

    def open(self) -> None:
        ae = AE(TITLE)
        ae.add_supported_context(PUSH_MODEL, scu_role=False, scp_role=True)
        handlers = [(evt.EVT_N_EVENT_REPORT, self._take)]
        self._server = ae.start_server(("127.0.0.1", self.door), block=False, evt_handlers=handlers)

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()  # type: ignore[attr-defined] # pynetdicom's server

    def ask(self, *pairs: tuple[str, str], stay: float = 0.0, transaction: str | None = None) -> tuple[int, str]:
        """Ask, then stay on the association for a report; give the status and the transaction."""
        uid = transaction or generate_uid()
        information = Dataset()
        information.TransactionUID = uid
        information.ReferencedSOPSequence = [_item(*pair) for pair in pairs]
        return self.act(information, stay=stay), uid

    def act(self, information: Dataset, *, stay: float = 0.0, **more: object) -> int:
        """Send an N-ACTION as it is; give its status."""
        ae = AE(TITLE)
        ae.add_requested_context(PUSH_MODEL)
        before = len(self.reports)
        handlers = [(evt.EVT_N_EVENT_REPORT, self._take)]
        assoc = ae.associate("127.0.0.1", self.listener_port, evt_handlers=handlers)  # type: ignore[arg-type]
        assert assoc.is_established
        action = {"action_type": 1, "class_uid": PUSH_MODEL, "instance_uid": WELL_KNOWN_INSTANCE, **more}
        status, _ = assoc.send_n_action(information, **action)  # type: ignore[arg-type]
        if stay:
            until(lambda: len(self.reports) > before, stay, "no report on the association")
        assoc.release()
        return int(status.Status)

    def report_of(self, transaction: str, seconds: float = 30.0) -> Report:
        """Wait for a report; fail when there is none, or more than one."""
        until(lambda: any(one.transaction_uid == transaction for one in self.reports), seconds, "no report came")
        (report,) = [one for one in self.reports if one.transaction_uid == transaction]
        return report

    def _take(self, event: evt.Event) -> tuple[int, None]:
        information = event.event_information
        role = event.assoc.requestor.role_selection.get(PUSH_MODEL)
        status = self.answers.pop(0) if self.answers else 0
        self.reports.append(
            Report(
                transaction_uid=str(information.TransactionUID),
                event=int(event.event_type or 0),
                committed=[str(one.ReferencedSOPInstanceUID) for one in information.get("ReferencedSOPSequence", [])],
                failed={
                    str(one.ReferencedSOPInstanceUID): int(one.FailureReason)
                    for one in information.get("FailedSOPSequence", [])
                },
                role_proposed=role is not None and bool(role.scp_role),
            )
        )
        return status, None


def _item(sop_class: str, uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    return item


Asks = Callable[..., tuple[Listening, Modality]]


@pytest.fixture
def asks(listen: Callable[..., Listening]) -> Iterator[Asks]:
    """Give a function that starts a listener and a modality that it knows: `asks(RADSTREAM_...="...")`."""
    made: list[Modality] = []

    def begin(*, open_door: bool = True, **environment: str) -> tuple[Listening, Modality]:
        modality = Modality(0)
        made.append(modality)
        listening = listen(RADSTREAM_COMMITMENT_PEERS=modality.peers, **environment)
        modality.listener_port = listening.port
        if open_door:
            modality.open()
        return listening, modality

    yield begin
    for one in made:
        one.close()


ARCHIVE = {"RADSTREAM_COMMITMENT": "archive", "RADSTREAM_S3_DURABLE": "1"}


def pair(one: Film) -> tuple[str, str]:
    """Give a film's class and instance, as a reference names them."""
    return CHEST, one.uid


def test_by_default_nothing_is_committed(asks: Asks) -> None:
    """We are no archive: even what stands in every store is reported as not committed."""
    listening, modality = asks()
    one = film()
    assert listening.send(one) == StoreStatus.SUCCESS
    listening.wait_empty()

    status, transaction = modality.ask(pair(one), (CHEST, "1.2.3.4"))

    report = modality.report_of(transaction)
    assert status == ActionStatus.SUCCESS
    assert (report.event, report.committed) == (EventType.SOME_FAILED, [])
    assert report.failed == {one.uid: NOT_COMMITTED, "1.2.3.4": NOT_COMMITTED}
    assert report.role_proposed


def test_an_archive_commits_what_it_holds_and_says_why_not(asks: Asks) -> None:
    """Success for what journal and object store hold; unknown, other class and lost each have their reason."""
    listening, modality = asks(**ARCHIVE)
    held, other, lost = film(), film(), film()
    for one in (held, other, lost):
        assert listening.send(one) == StoreStatus.SUCCESS
    listening.wait_empty()
    (event,) = listening.events(lost)
    listening.lose_object(event)

    _, all_held = modality.ask(pair(held))
    _, mixed = modality.ask(pair(held), (OTHER_CLASS, other.uid), (CHEST, "1.2.3.4"), pair(lost))

    report = modality.report_of(all_held)
    assert (report.event, report.committed, report.failed) == (EventType.ALL_COMMITTED, [held.uid], {})
    report = modality.report_of(mixed)
    assert (report.event, report.committed) == (EventType.SOME_FAILED, [held.uid])
    assert report.failed == {
        other.uid: FailureReason.CLASS_INSTANCE_CONFLICT,
        "1.2.3.4": FailureReason.NO_SUCH_INSTANCE,
        lost.uid: NOT_COMMITTED,
    }


def test_an_image_in_the_spool_is_waited_for(asks: Asks, site: Site) -> None:
    """While the object store is away nothing is reported; when the image is there, it is committed."""
    listening, modality = asks(**ARCHIVE, RADSTREAM_ACK_POLICY="spool")
    one = film()

    with away(site, "object_store"):
        assert listening.send(one) == StoreStatus.SUCCESS
        status, transaction = modality.ask(pair(one))
        assert status == ActionStatus.SUCCESS
        threading.Event().wait(3)  # longer than a report takes where nothing is waited for
        assert modality.reports == []

    report = modality.report_of(transaction, 60)
    assert (report.event, report.committed) == (EventType.ALL_COMMITTED, [one.uid])


def test_an_image_that_stays_in_the_spool_is_never_committed(asks: Asks, site: Site) -> None:
    """The spool is no archive: when the wait is over, the image is reported as not committed."""
    listening, modality = asks(**ARCHIVE, RADSTREAM_ACK_POLICY="spool", RADSTREAM_COMMITMENT_WAIT_SECONDS="1")
    one = film()

    with away(site, "object_store"):
        assert listening.send(one) == StoreStatus.SUCCESS
        _, transaction = modality.ask(pair(one))
        report = modality.report_of(transaction, 60)

    assert (report.event, report.failed) == (EventType.SOME_FAILED, {one.uid: NOT_COMMITTED})


def test_commitment_needs_a_store_that_is_declared_durable(listen: Callable[..., Listening]) -> None:
    """An archive over a store that may forget does not start, and says what to do."""
    listening = listen(RADSTREAM_COMMITMENT="archive", wait=False)

    assert listening.service.wait_exit(60) == 1
    assert "RADSTREAM_S3_DURABLE" in listening.service.tail()


def test_a_modality_that_stays_gets_its_report_where_it_asked(asks: Asks) -> None:
    """The same association carries the report; no door is needed, and no second report comes."""
    _, modality = asks(open_door=False)

    status, transaction = modality.ask((CHEST, "1.2.3.4"), stay=30.0)

    report = modality.report_of(transaction)
    assert status == ActionStatus.SUCCESS
    assert report.event == EventType.SOME_FAILED
    assert not report.role_proposed


def test_the_report_survives_kill_9(asks: Asks) -> None:
    """Killed between answer and report, with the modality's door shut: the next start keeps the promise."""
    listening, modality = asks(open_door=False)
    status, transaction = modality.ask((CHEST, "1.2.3.4"))
    listening.service.kill9()
    assert status == ActionStatus.SUCCESS
    assert modality.reports == []

    modality.open()
    listening.service.start()

    report = modality.report_of(transaction, 120)
    assert report.failed == {"1.2.3.4": NOT_COMMITTED}


def test_a_report_is_tried_again_until_it_is_answered_success(asks: Asks) -> None:
    """A modality that can't take the report gets it again; when it could, never more."""
    _, modality = asks()
    modality.answers[:] = [0x0110, 0x0213]

    _, transaction = modality.ask((CHEST, "1.2.3.4"))

    until(lambda: len(modality.reports) == 3, 60, "not tried again")
    _, other = modality.ask((CHEST, "1.2.3.4"))
    modality.report_of(other)
    assert [one.transaction_uid for one in modality.reports] == [transaction] * 3 + [other]


def test_a_transaction_is_reported_once_however_often_it_is_asked(asks: Asks) -> None:
    """The same request again while it is open adds nothing; other instances under its UID are refused."""
    _, modality = asks(open_door=False)

    status, transaction = modality.ask((CHEST, "1.2.3.4"))
    again, _ = modality.ask((CHEST, "1.2.3.4"), transaction=transaction)
    other, _ = modality.ask((CHEST, "1.2.3.5"), transaction=transaction)
    modality.open()

    report = modality.report_of(transaction, 60)
    assert (status, again, other) == (ActionStatus.SUCCESS, ActionStatus.SUCCESS, ActionStatus.PROCESSING_FAILURE)
    assert report.failed == {"1.2.3.4": NOT_COMMITTED}


def test_a_request_that_can_not_be_kept_is_not_accepted(asks: Asks, site: Site) -> None:
    """Without PostgreSQL the action fails, and the association goes on."""
    _, modality = asks()

    with away(site, "postgres"):
        refused, _ = modality.ask((CHEST, "1.2.3.4"))
    accepted, transaction = modality.ask((CHEST, "1.2.3.4"))

    assert refused == ActionStatus.PROCESSING_FAILURE
    assert accepted == ActionStatus.SUCCESS
    assert len(modality.report_of(transaction).failed) == 1


def _without(keyword: str) -> Dataset:
    information = Dataset()
    information.TransactionUID = "1.2.3"
    information.ReferencedSOPSequence = [_item(CHEST, "1.2.3.4")]
    del information[keyword]
    return information


BAD_ACTIONS = {
    "another instance": (_without, {"instance_uid": "1.2.3"}, ActionStatus.NO_SUCH_INSTANCE),
    "another action": (_without, {"action_type": 2}, ActionStatus.NO_SUCH_ACTION),
    "no transaction": (lambda _: _without("TransactionUID"), {}, ActionStatus.INVALID_ARGUMENT_VALUE),
    "no instances": (lambda _: _without("ReferencedSOPSequence"), {}, ActionStatus.INVALID_ARGUMENT_VALUE),
}


@pytest.mark.parametrize("fault", BAD_ACTIONS)
def test_a_wrong_action_is_told_apart(fault: str, shared_listening: Listening) -> None:
    """Each fault has its status (PS3.7 annex C), and nothing is promised."""
    make, more, expected = BAD_ACTIONS[fault]
    modality = Modality(shared_listening.port)

    status = modality.act(make("TransactionUID"), **more)  # type: ignore[operator, arg-type]

    assert status == expected


def test_a_request_of_ten_thousand_instances_is_taken(asks: Asks) -> None:
    """A large study fits into one request, and into one report."""
    _, modality = asks()
    pairs = [(CHEST, f"1.2.826.0.1.3680043.8.498.{number}") for number in range(10_000)]

    status, transaction = modality.ask(*pairs)

    assert status == ActionStatus.SUCCESS
    assert len(modality.report_of(transaction, 120).failed) == len(pairs)
