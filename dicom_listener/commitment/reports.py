"""Reports of storage commitment: sent on a new association, tried again until one is answered Success."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pynetdicom import AE, build_role
from pynetdicom.presentation import build_context

from dicom_listener import instruments
from dicom_listener.associations.tls import TlsIdentity, fingerprint
from dicom_listener.commitment.book import CommitmentBook, Open
from dicom_listener.commitment.verdicts import Judge
from dicom_listener.commitment.words import (
    PUSH_MODEL,
    WELL_KNOWN_INSTANCE,
    CommitmentRequest,
    Verdicts,
    report_of,
)
from dicom_listener.standard.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from radstream.logs import get_log
from radstream.setting_kinds import Peer
from schemas.errors import RadStreamError

if TYPE_CHECKING:
    from pynetdicom.association import Association

    from radstream.service import Stop

_ROUND_SECONDS = 0.5
_AT_A_TIME = 16
_TOO_EARLY_SECONDS = 2.0
_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 1.0, 600.0
_CONNECT_SECONDS, _ACSE_SECONDS = 5.0, 10.0
#: How long a report waits for its answer; the lease of a request is longer.
ANSWER_SECONDS = 20.0
_SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")  # implicit and explicit VR little endian


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTerms:
    """Where reports go, and how long they are waited for and tried."""

    ae_title: str
    peers: Mapping[str, Peer]  # where a calling AE is called
    tls: TlsIdentity | None  # where one of them is called by TLS
    wait_seconds: float
    retry_seconds: float


class Reports:
    """Sends what is due. One loop runs it; `verdicts` and `finish` are thread-safe."""

    def __init__(self, book: CommitmentBook, judge: Judge, terms: ReportTerms) -> None:
        self._book = book
        self._judge = judge
        self._terms = terms

    def run(self, stop: "Stop") -> None:
        """Report until asked to stop. Servers that are away are waited for; the requests stay in the book."""
        while not stop.wait(_ROUND_SECONDS):
            try:
                for one in self._book.take(self._terms.peers, _AT_A_TIME):
                    self._report(one)
                for calling_ae in self._book.expire(self._terms.retry_seconds, self._terms.peers):
                    instruments.COMMITMENT_REPORTS.labels("no_address").inc()
                    get_log().warning("commitment not reported", cause="no_address", calling_ae=calling_ae)
            except RadStreamError as error:
                instruments.RETRIES.labels(error.cause).inc()
                get_log().warning("commitment not reported", cause=error.cause)
            except Exception as error:  # noqa: BLE001 - the loop: the request stays in the book and is tried again
                get_log().error("commitment not reported", cause="internal", exc_info=error)

    def verdicts(self, request: CommitmentRequest, age_seconds: float) -> Verdicts | None:
        """Give the verdicts of a request of this age; None while it is too early. Raises Unavailable."""
        return self._judge.verdicts(request, expired=age_seconds >= self._terms.wait_seconds)

    def finish(self, request: CommitmentRequest, verdicts: Verdicts, how: str) -> None:
        """Forget a request whose report was answered Success, and count it."""
        self._book.close(request)
        instruments.COMMITMENT_REPORTS.labels(how).inc()
        _log(request, verdicts, how)

    def _report(self, one: Open) -> None:
        """Try one report.

        1. decide; too early: look again soon
        2. send it
        3. answered Success: forget the request; else try again, until its time is over
        """
        verdicts = self.verdicts(one.request, one.age_seconds)
        if verdicts is None:
            self._book.postpone(one.request, _TOO_EARLY_SECONDS, failed=False)
            return
        outcome = self._send(one.request, verdicts)
        if outcome == "answered":
            self.finish(one.request, verdicts, "new_association")
        elif one.age_seconds >= self._terms.retry_seconds:
            self.finish(one.request, verdicts, "given_up")
        else:
            instruments.COMMITMENT_REPORTS.labels(outcome).inc()
            _log(one.request, verdicts, outcome, one.attempts + 1)
            self._book.postpone(one.request, backoff_seconds(one.attempts), failed=True)

    def _send(self, request: CommitmentRequest, verdicts: Verdicts) -> str:
        ae = AE(self._terms.ae_title)
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.connection_timeout, ae.acse_timeout = _CONNECT_SECONDS, _ACSE_SECONDS
        ae.dimse_timeout = ae.network_timeout = ANSWER_SECONDS
        peer = self._terms.peers[request.calling_ae]
        identity = self._terms.tls if peer.tls else None
        assoc = ae.associate(
            peer.host,
            peer.port,
            contexts=[build_context(PUSH_MODEL, list(_SYNTAXES))],
            ae_title=request.calling_ae,
            ext_neg=[build_role(PUSH_MODEL, scp_role=True)],  # PS3.4 J.3.3.1.1, PS3.7 D.3.3.4
            tls_args=(identity.calling_context(), peer.host) if identity else None,
        )
        if not assoc.is_established:
            return "unreachable"
        try:
            if identity and not identity.may_be_peer(_fingerprint(assoc)):
                return "another_peer"
            return "answered" if deliver(assoc, request, verdicts) else "refused"
        finally:
            if assoc.is_established:
                assoc.release()


def deliver(assoc: "Association", request: CommitmentRequest, verdicts: Verdicts) -> bool:
    """Send a report on an association; say whether it was answered Success."""
    event, information = report_of(request, verdicts)
    try:
        status, _ = assoc.send_n_event_report(information, event, PUSH_MODEL, WELL_KNOWN_INSTANCE)
    except (RuntimeError, ValueError):  # the association ended, or has no context for it
        return False
    return getattr(status, "Status", None) == 0


def _fingerprint(assoc: "Association") -> str | None:
    """Give the fingerprint of a peer's certificate, of an association by TLS."""
    peer = assoc.dul.socket.socket if assoc.dul.socket else None
    return fingerprint(peer) if isinstance(peer, ssl.SSLSocket) else None


def backoff_seconds(attempts: int) -> float:
    """Give the pause after so many reports that failed before: doubled each time, up to a limit (seconds).

    >>> [backoff_seconds(attempts) for attempts in (0, 1, 2, 60)]
    [1.0, 2.0, 4.0, 600.0]
    """
    return min(_LONGEST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2.0 ** min(attempts, 32))


def _log(request: CommitmentRequest, verdicts: Verdicts, outcome: str, attempts: int | None = None) -> None:
    committed = sum(verdict is None for verdict in verdicts.values())
    get_log().info(
        "commitment reported",
        calling_ae=request.calling_ae,
        outcome=outcome,
        images=len(verdicts),
        count=committed,
        attempts=attempts,
    )
