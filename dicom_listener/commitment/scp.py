"""Storage Commitment Push Model as SCP (PS3.4 annex J): requests in, and their reports on the same association.

A request is in PostgreSQL before it is answered. Its report goes out on the same association where that stays open
and quiet for a moment, else on a new one (`reports.py`), from whichever process runs that.
"""

import queue
import threading
import time
from typing import TYPE_CHECKING, cast

from pynetdicom.events import Event

from dicom_listener import instruments
from dicom_listener.associations.upper_layer import StoreDul
from dicom_listener.commitment.book import FIRST_LEASE_SECONDS, CommitmentBook, TooManyOpen, TransactionInUse
from dicom_listener.commitment.reports import ANSWER_SECONDS, Reports, deliver
from dicom_listener.commitment.words import (
    PUSH_MODEL,
    REQUEST_ACTION,
    WELL_KNOWN_INSTANCE,
    ActionStatus,
    CommitmentRequest,
    NoRequest,
    read_request,
)
from radstream.logs import get_log
from schemas.errors import PostgresDown, RadStreamError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import N_ACTION

    from radstream.service import Stop

#: Threads that wait for an association to fall quiet, and requests that wait for them (count).
_THREADS, _WAITING = 2, 64
_QUIET_SECONDS = 0.5
#: Longer than this no association is waited for (seconds).
_PATIENCE_SECONDS = 4.0
_LOOK_SECONDS = 0.05

#: What an N-ACTION is answered, by what went wrong.
STATUS_OF = {
    NoRequest: ActionStatus.INVALID_ARGUMENT_VALUE,
    TransactionInUse: ActionStatus.PROCESSING_FAILURE,
    TooManyOpen: ActionStatus.RESOURCE_LIMITATION,
    PostgresDown: ActionStatus.PROCESSING_FAILURE,
}


class CommitmentDesk:
    """Takes requests in any process of the listener."""

    def __init__(self, book: CommitmentBook, reports: Reports) -> None:
        self._book = book
        self._reports = reports
        self._asked: queue.Queue[tuple[float, Association, CommitmentRequest]] = queue.Queue(_WAITING)

    def start(self, stop: "Stop") -> None:
        """Report on open associations, in the background."""
        for _ in range(_THREADS):
            threading.Thread(target=self._report_loop, args=(stop,), name="commitment", daemon=True).start()

    def on_action(self, event: Event) -> "tuple[int, Dataset | None]":
        """Answer an N-ACTION (PS3.4 J.3.2): Success only when its request is durable."""
        calling_ae = str(event.assoc.requestor.ae_title).strip()
        status, images = self._answer(event, calling_ae)
        instruments.COMMITMENT_REQUESTS.labels(f"0x{status:04X}").inc()
        get_log().info("commitment requested", calling_ae=calling_ae, status=f"0x{status:04X}", images=images)
        return int(status), None

    def _answer(self, event: Event, calling_ae: str) -> tuple[ActionStatus, int]:
        action = cast("N_ACTION", event.request)
        if action.RequestedSOPClassUID != PUSH_MODEL:
            return ActionStatus.NO_SUCH_CLASS, 0
        if action.RequestedSOPInstanceUID != WELL_KNOWN_INSTANCE:
            return ActionStatus.NO_SUCH_INSTANCE, 0
        if event.action_type != REQUEST_ACTION:
            return ActionStatus.NO_SUCH_ACTION, 0
        images = 0
        try:
            request = read_request(_information(event), calling_ae)
            images = len(request.references)
            self._book.record(request)
            self._hand_over(event.assoc, request)
        except RadStreamError as error:
            return STATUS_OF.get(type(error), ActionStatus.PROCESSING_FAILURE), images
        finally:
            self._book.hang_up()  # the association's thread keeps no connection
        return ActionStatus.SUCCESS, images

    def _hand_over(self, assoc: "Association", request: CommitmentRequest) -> None:
        try:
            self._asked.put_nowait((time.monotonic(), assoc, request))
        except queue.Full:
            self._book.postpone(request, 0.0, failed=False)

    def _report_loop(self, stop: "Stop") -> None:
        while not stop.requested:
            try:
                asked_at, assoc, request = self._asked.get(timeout=_QUIET_SECONDS)
            except queue.Empty:
                continue
            if time.monotonic() - asked_at > FIRST_LEASE_SECONDS:
                continue
            try:
                self._report(assoc, request, stop)
            except RadStreamError as error:  # the lease ends by itself, and the report goes out on a new association
                instruments.RETRIES.labels(error.cause).inc()
                get_log().warning("commitment not reported", cause=error.cause, calling_ae=request.calling_ae)
            except Exception as error:  # noqa: BLE001 - the loop: the request stays in the book
                get_log().error("commitment not reported", cause="internal", exc_info=error)
            finally:
                self._book.hang_up()  # a connection that is kept for hours may be dead when it is needed

    def _report(self, assoc: "Association", request: CommitmentRequest, stop: "Stop") -> None:
        """Report on the request's own association while it is there; else leave it to a new one, at once."""
        began = time.monotonic()
        verdicts = None
        while verdicts is None and _wait_quiet(assoc, began + _PATIENCE_SECONDS, stop):
            verdicts = self._reports.verdicts(request, time.monotonic() - began)
        if verdicts is None or not assoc.is_established:
            self._book.postpone(request, 0.0, failed=False)
        elif self._book.renew(request):
            assoc.dimse_timeout = ANSWER_SECONDS
            if deliver(assoc, request, verdicts):
                self._reports.finish(request, verdicts, "same_association")
            else:
                self._book.postpone(request, 0.0, failed=False)


def _information(event: Event) -> "Dataset":
    try:
        return event.action_information
    except Exception as error:
        raise NoRequest("the action's information is no data set") from error


def _wait_quiet(assoc: "Association", deadline: float, stop: "Stop") -> bool:
    """Wait until nothing was under way for a moment; say whether the association is there still."""
    quiet_since = time.monotonic()
    while assoc.is_established and time.monotonic() < deadline and not stop.requested:
        if isinstance(assoc.dul, StoreDul) and assoc.dul.storing:
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since >= _QUIET_SECONDS:
            return True
        stop.wait(_LOOK_SECONDS)
    return False
