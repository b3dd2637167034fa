"""Storage commitment (PS3.4 annex J): nothing is promised that isn't durable, and each promise is kept."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt

from dicom_listener.commitment.words import PUSH_MODEL, WELL_KNOWN_INSTANCE, ActionStatus, EventType, FailureReason
from dicom_listener.standard.statuses import StoreStatus
from radstream.postgres import connect
from radstream.stack.site import Site
from tests.certificates import Authority, fingerprint
from tests.integration.listener.conftest import Listening
from tests.integration.listener.films import Film, film
from tests.integration.listener.raw_scu import CHEST
from tests.integration.listener.test_outages import away
from tests.running import until, unused_port

pytestmark = pytest.mark.stack

#: Each test is a modality of its own, which the listeners know from their start.
MODALITIES = 24
NOT_COMMITTED = FailureReason.PROCESSING_FAILURE
ODD_UID = "1.2.03.4"  # as devices send them; a library may quote it
OTHER_CLASS = "1.2.840.10008.5.1.4.1.1.2"


@dataclass
class Report:
    """A report as it came."""

    transaction_uid: str
    event: int
    committed: list[str]
    failed: dict[str, int]
    role_proposed: bool


@dataclass
class Modality:
    """A modality that asks for commitment and takes reports, on its door or where it asked."""

    title: str
    door: int
    listener_port: int
    reports: list[Report] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)  # statuses for the reports to come; Success when there are none

    @contextmanager
    def at_home(self, tls: ssl.SSLContext | None = None) -> Iterator[Self]:
        """Take reports on the modality's own door, by TLS where a context is given."""
        ae = AE(self.title)
        ae.add_supported_context(PUSH_MODEL, scu_role=False, scp_role=True)
        handlers = [(evt.EVT_N_EVENT_REPORT, self._take)]
        server = ae.start_server(
            ("127.0.0.1", self.door),
            block=False,
            evt_handlers=handlers,  # type: ignore[arg-type]
            ssl_context=tls,
        )
        try:
            yield self
        finally:
            server.shutdown()  # type: ignore[union-attr]

    def ask(self, *pairs: tuple[str, str], stay: float = 0.0, transaction: str | None = None) -> tuple[int, str]:
        """Ask, then stay on the association for a report; give the status and the transaction."""
        uid = transaction or generate_uid()
        information = Dataset()
        information.TransactionUID = uid
        information.ReferencedSOPSequence = [_item(*pair) for pair in pairs]
        return self.act(information, stay=stay), uid

    def act(self, information: Dataset, *, stay: float = 0.0, **more: object) -> int:
        """Send an N-ACTION as it is; give its status."""
        ae = AE(self.title)
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
        with disable_value_validation():
            proposed = role is not None and bool(role.scp_role)
            self.reports.append(_report(information, int(event.event_type or 0), proposed=proposed))
        return status, None


def _report(information: Dataset, event: int, *, proposed: bool) -> Report:
    return Report(
        transaction_uid=str(information.TransactionUID),
        event=event,
        committed=[str(one.ReferencedSOPInstanceUID) for one in information.get("ReferencedSOPSequence", [])],
        failed={
            str(one.ReferencedSOPInstanceUID): int(one.FailureReason)
            for one in information.get("FailedSOPSequence", [])
        },
        role_proposed=proposed,
    )


def _item(sop_class: str, uid: str) -> Dataset:
    item = Dataset()
    with disable_value_validation():
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    return item


ARCHIVE = {
    "RADSTREAM_COMMITMENT": "archive",
    "RADSTREAM_S3_DURABLE": "1",
    "RADSTREAM_ACK_POLICY": "spool",
}


@dataclass
class Known:
    """A listener, and the modalities that it knows."""

    listening: Listening
    modalities: list[Modality]

    def modality(self) -> Modality:
        """Give one that no test had before."""
        return self.modalities.pop()


def _known(begin: Callable[..., Listening], prefix: str, **environment: str) -> Known:
    modalities = [Modality(f"{prefix}{number}", unused_port(), 0) for number in range(MODALITIES)]
    scheme = "tls://" if "RADSTREAM_TLS_CERTIFICATE" in environment else ""
    peers = ",".join(f"{one.title}={scheme}127.0.0.1:{one.door}" for one in modalities)
    listening = begin(RADSTREAM_COMMITMENT_PEERS=peers, **environment)
    for one in modalities:
        one.listener_port = listening.port
    return Known(listening, modalities)


@pytest.fixture(scope="module")
def plain(module_listen: Callable[..., Listening]) -> Known:
    """Give a listener with the default: nothing is committed."""
    return _known(module_listen, "PLAIN")


@pytest.fixture(scope="module")
def archive(module_listen: Callable[..., Listening]) -> Known:
    """Give a listener that commits, over a store that was declared durable."""
    return _known(module_listen, "ARCHIVE", **ARCHIVE)


def open_requests(title: str, listening: Listening) -> int:
    """Count a modality's requests that stand in the book."""
    with closing(connect(listening.settings)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM commitments WHERE calling_ae = %s", (title,))
        return int((cursor.fetchone() or (0,))[0])


def pair(one: Film) -> tuple[str, str]:
    """Give a film's class and instance, as a reference names them."""
    return CHEST, one.uid


def test_by_default_nothing_is_committed(plain: Known) -> None:
    """We are no archive: even what stands in every store is reported as not committed, on a new association."""
    one = film()
    assert plain.listening.send(one) == StoreStatus.SUCCESS

    with plain.modality().at_home() as modality:
        status, transaction = modality.ask(pair(one), (CHEST, ODD_UID))
        report = modality.report_of(transaction)

    assert status == ActionStatus.SUCCESS
    assert (report.event, report.committed) == (EventType.SOME_FAILED, [])
    assert report.failed == {one.uid: NOT_COMMITTED, ODD_UID: NOT_COMMITTED}
    assert ODD_UID not in plain.listening.service.log.read_text()
    assert report.role_proposed


def test_an_archive_commits_what_it_holds_and_says_why_not(archive: Known) -> None:
    """Success for what journal and object store hold; unknown, other class and lost each have their reason."""
    held, other, lost = film(), film(), film()
    for one in (held, other, lost):
        assert archive.listening.send(one) == StoreStatus.SUCCESS
    archive.listening.wait_empty()
    (event,) = archive.listening.events(lost)
    archive.listening.lose_object(event)

    with archive.modality().at_home() as modality:
        _, all_held = modality.ask(pair(held))
        _, mixed = modality.ask(pair(held), (OTHER_CLASS, other.uid), (CHEST, "1.2.3.4"), pair(lost))
        whole, part = modality.report_of(all_held), modality.report_of(mixed)

    assert (whole.event, whole.committed, whole.failed) == (EventType.ALL_COMMITTED, [held.uid], {})
    assert (part.event, part.committed) == (EventType.SOME_FAILED, [held.uid])
    assert part.failed == {
        other.uid: FailureReason.CLASS_INSTANCE_CONFLICT,
        "1.2.3.4": FailureReason.NO_SUCH_INSTANCE,
        lost.uid: NOT_COMMITTED,
    }


def test_the_spool_is_waited_for_and_is_no_archive(
    archive: Known, listen: Callable[..., Listening], site: Site
) -> None:
    """An image in the spool is committed when it has left it; one that stays there too long has failed."""
    hasty = _known(listen, "HASTY", **ARCHIVE, RADSTREAM_COMMITMENT_WAIT_SECONDS="1")
    one, other = film(), film()

    with archive.modality().at_home() as patient, hasty.modality().at_home() as soon:
        with away(site, "object_store"):
            assert archive.listening.send(one) == hasty.listening.send(other) == StoreStatus.SUCCESS
            _, late = patient.ask(pair(one))
            _, early = soon.ask(pair(other))
            failed = soon.report_of(early, 60)
            assert patient.reports == []
        committed = patient.report_of(late, 60)

    assert (failed.event, failed.failed) == (EventType.SOME_FAILED, {other.uid: NOT_COMMITTED})
    assert (committed.event, committed.committed) == (EventType.ALL_COMMITTED, [one.uid])


def test_a_modality_that_stays_gets_its_report_where_it_asked(plain: Known) -> None:
    """The same association carries the report; no door is needed, and no second report comes."""
    modality = plain.modality()

    status, transaction = modality.ask((CHEST, "1.2.3.4"), stay=30.0)

    report = modality.report_of(transaction)
    assert status == ActionStatus.SUCCESS
    assert report.event == EventType.SOME_FAILED
    assert not report.role_proposed


@dataclass(frozen=True)
class Secured:
    """A listener that reports by TLS, and the authority that it trusts."""

    known: Known
    authority: Authority
    modality: Path  # the certificate that is on the listener's list

    def door(self, certificate: Path, authority: Authority | None = None) -> ssl.SSLContext:
        """Give a modality's door, which shows a certificate and asks for one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.load_verify_locations((authority or self.authority).path)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture
def secured(listen: Callable[..., Listening], tmp_path: Path) -> Secured:
    """Give a listener that reports by TLS, to modalities whose certificate is listed."""
    authority = Authority(tmp_path)
    modality = authority.issue("modality")
    known = _known(
        listen,
        "TLS",
        RADSTREAM_TLS_CERTIFICATE=str(authority.issue("listener")),
        RADSTREAM_TLS_CA=str(authority.path),
        RADSTREAM_DICOM_TLS_PORT=str(unused_port()),
        RADSTREAM_ALLOWED_CERTIFICATES=fingerprint(modality),
    )
    return Secured(known, authority, modality)


def test_a_report_goes_out_by_tls_both_sides_known(secured: Secured) -> None:
    """AE=tls://host:port: the modality's door asks for our certificate, which its authority has signed."""
    with secured.known.modality().at_home(secured.door(secured.modality)) as modality:
        status, transaction = modality.ask((CHEST, "1.2.3.4"))
        report = modality.report_of(transaction, 60)

    assert status == ActionStatus.SUCCESS
    assert report.failed == {"1.2.3.4": NOT_COMMITTED}


def test_a_report_is_not_given_to_whom_we_do_not_know(secured: Secured, tmp_path: Path) -> None:
    """Another authority's certificate, one that is not listed, no TLS at all: no report until the right one answers."""
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    modality = secured.known.modality()
    doors = {
        "unreachable": [secured.door(other.issue("modality"), secured.authority), None],
        "another_peer": [secured.door(secured.authority.issue("stranger"))],
    }
    _, transaction = modality.ask((CHEST, "1.2.3.4"))

    for outcome, contexts in doors.items():
        for context in contexts:
            with modality.at_home(context):
                _await_outcome(secured.known.listening, outcome, 60)
            assert modality.reports == []
    with modality.at_home(secured.door(secured.modality)):
        assert modality.report_of(transaction, 60).failed == {"1.2.3.4": NOT_COMMITTED}


def _await_outcome(listening: Listening, outcome: str, seconds: float) -> None:
    """Wait for one more report that ended so."""
    wanted = f'"outcome": "{outcome}"'
    before = listening.service.log.read_text().count(wanted)
    until(lambda: listening.service.log.read_text().count(wanted) > before, seconds, f"no report ended {outcome}")


def test_a_report_by_tls_needs_a_certificate(listen: Callable[..., Listening]) -> None:
    """The setting that is missing is named at the start."""
    listening = listen(wait=False, RADSTREAM_COMMITMENT_PEERS="CT1=tls://127.0.0.1:104")

    assert listening.service.wait_exit() == 1
    assert "RADSTREAM_TLS_CERTIFICATE" in listening.service.tail()


def test_the_report_survives_kill_9(listen: Callable[..., Listening]) -> None:
    """Killed between answer and report, with the modality's door shut: the next start keeps the promise."""
    known = _known(listen, "KILLED")
    modality = known.modality()
    status, transaction = modality.ask((CHEST, "1.2.3.4"))
    known.listening.service.kill9()
    assert status == ActionStatus.SUCCESS
    assert modality.reports == []

    with modality.at_home():
        known.listening.service.start()
        report = modality.report_of(transaction, 120)

    assert report.failed == {"1.2.3.4": NOT_COMMITTED}


def test_a_report_is_tried_again_until_it_is_answered_success(plain: Known) -> None:
    """A modality that can't take the report gets it again; when it could, never more."""
    with plain.modality().at_home() as modality:
        modality.answers[:] = [0x0110, 0x0213]

        _, transaction = modality.ask((CHEST, "1.2.3.4"))
        until(lambda: len(modality.reports) == 3, 60, "not tried again")
        _, other = modality.ask((CHEST, "1.2.3.4"))
        modality.report_of(other)
        until(lambda: open_requests(modality.title, plain.listening) == 0, 30, "answered, and still open")

    assert [one.transaction_uid for one in modality.reports] == [transaction] * 3 + [other]


def test_a_transaction_is_reported_once_however_often_it_is_asked(plain: Known) -> None:
    """The same request again while it is open adds nothing; other instances under its UID are refused."""
    modality = plain.modality()

    status, transaction = modality.ask((CHEST, "1.2.3.4"))
    again, _ = modality.ask((CHEST, "1.2.3.4"), transaction=transaction)
    other, _ = modality.ask((CHEST, "1.2.3.5"), transaction=transaction)
    with modality.at_home():
        report = modality.report_of(transaction, 60)

    assert (status, again, other) == (ActionStatus.SUCCESS, ActionStatus.SUCCESS, ActionStatus.PROCESSING_FAILURE)
    assert report.failed == {"1.2.3.4": NOT_COMMITTED}


def test_a_request_that_can_not_be_kept_is_not_accepted(plain: Known, site: Site) -> None:
    """Without PostgreSQL the action fails, and the next one succeeds."""
    with plain.modality().at_home() as modality:
        with away(site, "postgres"):
            refused, _ = modality.ask((CHEST, "1.2.3.4"))
        accepted, transaction = modality.ask((CHEST, "1.2.3.4"))
        report = modality.report_of(transaction, 60)

    assert refused == ActionStatus.PROCESSING_FAILURE
    assert accepted == ActionStatus.SUCCESS
    assert len(report.failed) == 1


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
def test_a_wrong_action_is_told_apart(fault: str, plain: Known) -> None:
    """Each fault has its status (PS3.7 annex C), and nothing is promised."""
    make, more, expected = BAD_ACTIONS[fault]
    modality = plain.modality()

    status = modality.act(make("TransactionUID"), **more)  # type: ignore[operator, arg-type]

    assert status == expected


def test_a_request_of_ten_thousand_instances_is_taken(plain: Known) -> None:
    """A large study fits into one request, and into one report."""
    pairs = [(CHEST, f"1.2.826.0.1.3680043.8.498.{number}") for number in range(10_000)]

    with plain.modality().at_home() as modality:
        status, transaction = modality.ask(*pairs)
        report = modality.report_of(transaction, 120)

    assert status == ActionStatus.SUCCESS
    assert len(report.failed) == len(pairs)
