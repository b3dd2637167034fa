"""What a C-STORE goes through from its command to its answer (promise 1)."""

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dicom_listener import instruments
from dicom_listener.crash_points import Step
from dicom_listener.forwarding.forwarder import Forwarder
from dicom_listener.forwarding.work import Ticket
from dicom_listener.forwarding.yielding import Yielding
from dicom_listener.receiving.admission import Admission
from dicom_listener.receiving.routes import Sent, route
from dicom_listener.receiving.terms import Sender, Terms
from dicom_listener.standard.command_set import StoreRequest
from dicom_listener.standard.header import Header, header_of_file, header_of_head
from dicom_listener.standard.part10 import preamble_and_meta
from dicom_listener.standard.statuses import ClassNotNegotiated, StoreStatus, status_of
from dicom_listener.standard.uids import well_formed
from radstream.crash_points import CrashPoints
from radstream.logs import get_log
from radstream.spool.aligned import Held
from radstream.spool.aside import Aside
from radstream.spool.entry import Entry, Note, translated
from radstream.spool.incoming import Incoming
from radstream.spool.spool import Spool
from schemas.errors import ClassMismatch, MalformedUid, RadStreamError, SpoolFull, UnparsableDataSet
from schemas.identity import data_set_hasher

if TYPE_CHECKING:
    from pynetdicom.association import Association

#: Where the bytes of a refused object go.
_NOWHERE = memoryview(bytearray(64 * 1024))


class Reception:
    """Receives every association's objects. Thread-safe."""

    def __init__(
        self, spool: Spool, forwarder: Forwarder, terms: Terms, crash_points: CrashPoints, yielding: Yielding
    ) -> None:
        self.spool = spool
        self.forwarder = forwarder
        self.terms = terms
        self.crash_points = crash_points
        self.holds = terms.policy == "published"  # an image in memory: it is stored at once
        self.admission = Admission(spool, terms)
        self._yielding = yielding
        self._threads = [ThreadPoolExecutor(1, name) for name in ("writing", "hashing")]
        self._cores = len(os.sched_getaffinity(0))
        self._in_hand = 0
        self._guard = threading.Condition()

    def begin(self, assoc: "Association", request: StoreRequest, context: tuple[str, str]) -> "StoreReceipt":
        """Receive an object of an association."""
        sender = Sender(
            calling_ae=str(assoc.requestor.ae_title).strip(),
            called_ae=str(assoc.requestor.primitive.called_ae_title).strip() if assoc.requestor.primitive else "",
        )
        return self.receive(sender, request, context)

    def receive(self, sender: Sender, request: StoreRequest, context: tuple[str, str]) -> "StoreReceipt":
        """Receive an object; whatever is wrong is remembered for its answer, its bytes are read all the same."""
        self._count(1)
        return self.forwarder.gathering.begun(StoreReceipt(self, sender, request, context))

    def ended(self) -> None:
        """Note that an object was answered or given up."""
        self._count(-1)

    def wait_idle(self, seconds: float) -> bool:
        """Wait until no object is in hand; say whether that is so."""
        with self._guard:
            return self._guard.wait_for(lambda: self._in_hand == 0, seconds)

    def spare_threads(self) -> Sequence[Executor]:
        """Give who writes and who hashes a piece while the next one arrives: nobody where all cores receive."""
        return self._threads if self._yielding.leaves_cores(self._cores) else ()

    def _count(self, step: int) -> None:
        self._yielding.receiving(step)
        with self._guard:
            self._in_hand += step
            self._guard.notify_all()


class StoreReceipt:
    """One object: its bytes go to the spool and through its hash, once, as they arrive."""

    def __init__(self, reception: Reception, sender: Sender, request: StoreRequest, context: tuple[str, str]) -> None:
        self._reception = reception
        self._sender = sender
        self._request = request
        self._sop_class_uid, self._transfer_syntax_uid = context
        self._began = self._arrived = time.monotonic()
        self._status = StoreStatus.SUCCESS
        self._cause: str | None = None
        self._ticket: Ticket | None = None
        self._hasher = data_set_hasher(self._transfer_syntax_uid)
        self._incoming: Incoming | None = None
        self._refused: RadStreamError | None = None
        self._offset = 0
        self._note: Note | None = None
        try:
            self._check_command()
            reception.admission.admit(None)
            self._open()
        except RadStreamError as error:
            self._refuse(error)

    @property
    def room(self) -> memoryview:
        """Where the data set's next bytes may be put: there is always room for one."""
        return _NOWHERE if self._incoming is None else self._incoming.room

    def took(self, count: int) -> None:
        """Take bytes of the data set that were put into the room."""
        if self._incoming is None:
            return
        try:
            self._incoming.took(count)
        except SpoolFull as error:
            self._refuse(error)

    def write(self, data: bytes | memoryview) -> None:
        """Take bytes of the data set that stand elsewhere."""
        if self._incoming is None:
            return
        try:
            self._incoming.write(data)
        except SpoolFull as error:
            self._refuse(error)

    def discard(self) -> None:
        """Leave nothing."""
        if self._incoming is not None:
            self._incoming.discard()
            self._incoming = None
        self._reception.forwarder.gathering.ended(self)
        self._reception.ended()

    def finish(self) -> int:
        """Bring the object into the spool and on its way; give the status of the answer."""
        self.accept()
        return int(self.answer(time.monotonic() + self._reception.terms.deadline_seconds))

    def accept(self) -> None:
        """Bring the object into the spool and on its way; `answer` must follow.

        1. check its header and the watermarks
        2. commit it to the spool: from here on it is never lost
        3. hand it to the forwarder
        """
        self._arrived = time.monotonic()
        try:
            entry, header, held = self._commit()
            self._ticket = self._reception.forwarder.submit(entry, header, self._arrived - self._began, held)
        except Exception as error:  # noqa: BLE001 - the room's one loop: the sender gets a failure and keeps its image
            self._fail(error)
        self._reception.forwarder.gathering.ended(self)
        self._incoming = None

    def answer(self, deadline: float) -> StoreStatus:
        """Give the status; policy published waits until the object is in the log, at most to the deadline."""
        try:
            if self._ticket is not None:
                self._await(self._ticket, deadline)
        except Exception as error:  # noqa: BLE001 - as above
            self._fail(error)
        finally:
            self._reception.ended()
        self._report()
        return self._status

    def _fail(self, error: Exception) -> None:
        if isinstance(error, RadStreamError):
            self._status, self._cause = status_of(error), error.cause
        else:
            self._status, self._cause = StoreStatus.PROCESSING_FAILURE, "internal"
            get_log().error("image failed", cause=self._cause, exc_info=error)
        instruments.REFUSALS.labels(self._cause).inc()
        if self._incoming is not None:
            self._incoming.discard()

    def _check_command(self) -> None:
        uid = self._request.sop_instance_uid
        if not well_formed(uid):
            raise MalformedUid(f"a SOP Instance UID of {len(uid)} characters is none that PS3.5 9.1 allows")
        if self._request.sop_class_uid != self._sop_class_uid:
            raise ClassNotNegotiated("the command's SOP class is not its presentation context's")

    def _open(self) -> None:
        head = preamble_and_meta(self._request.sop_class_uid, self._request.sop_instance_uid, self._transfer_syntax_uid)
        self._incoming = self._reception.spool.begin(
            head, self._hasher, holds=self._reception.holds, aside=Aside(self._reception.spare_threads)
        )
        self._offset = len(head)

    def _refuse(self, error: RadStreamError) -> None:
        self._refused = error
        if self._incoming is not None:
            self._incoming.discard()
            self._incoming = None

    def _commit(self) -> tuple[Entry, Header, Held | None]:
        incoming = self._incoming
        if incoming is None:
            raise self._refused or SpoolFull("nothing was opened")
        incoming.hash_rest()
        header = self._read_header(incoming)
        sent = Sent(
            called_ae=self._sender.called_ae,
            calling_ae=self._sender.calling_ae,
            priority=self._request.priority,
            procedure_priority=(header.get("procedure_priority") or "").upper() or None,
        )
        lane, site = route(self._reception.terms.routes, sent)
        lane = self._sender.lane or lane
        self._reception.admission.admit(lane)
        self._note = Note(
            sop_instance_uid=self._request.sop_instance_uid,
            sop_class_uid=self._request.sop_class_uid,
            transfer_syntax_uid=self._transfer_syntax_uid,
            calling_ae=self._sender.calling_ae,
            called_ae=self._sender.called_ae,
            lane=lane,
            site=site,
            received_at=datetime.now(UTC),
            sha256=self._hasher.hexdigest(),
            size_bytes=incoming.size_bytes,
            data_set_offset=self._offset,
        )
        self._reception.crash_points.reach(Step.BEFORE_FSYNC)
        entry = self._reception.spool.commit(incoming, self._note)
        self._reception.crash_points.reach(Step.AFTER_FSYNC)
        return entry, header, incoming.held

    def _read_header(self, incoming: Incoming) -> Header:
        """Read the header and compare it with the command (PS3.4 B.2.3)."""
        standard = self._reception.terms.lenient_syntaxes
        try:
            header = self._look_at_header(incoming)
        except UnparsableDataSet:
            if standard is None or self._transfer_syntax_uid in standard:
                raise
            return Header({})  # a syntax that nobody knows: stored as it came
        if (header.get("sop_instance_uid"), header.get("sop_class_uid")) != (
            self._request.sop_instance_uid,
            self._request.sop_class_uid,
        ):
            raise ClassMismatch("the data set's SOP class or instance is not the command's")
        study = header.get("study_instance_uid") or ""
        if not well_formed(study):
            raise UnparsableDataSet("the data set has no valid Study Instance UID (0020,000D)")
        if self._sender.study_instance_uid not in {None, study}:
            raise ClassMismatch("the data set's study is not the one that the sender named")
        return header

    def _look_at_header(self, incoming: Incoming) -> Header:
        size = incoming.size_bytes - self._offset
        found = header_of_head(incoming.head[self._offset :], size, self._transfer_syntax_uid)
        if found is not None:
            return found
        with translated("reading an image back"):
            path, start = incoming.settle()
            return header_of_file(path, start + self._offset, start + incoming.size_bytes, self._transfer_syntax_uid)

    def _await(self, ticket: Ticket, deadline: float) -> None:
        published = self._reception.terms.policy == "published"
        if not (published and ticket.wait(max(0.0, deadline - time.monotonic()))):
            ticket.answered_at = datetime.now(UTC)
            instruments.LATE.labels("deadline" if published else "policy").inc()
        self._reception.crash_points.reach(Step.BEFORE_ANSWER)

    def _report(self) -> None:
        now = time.monotonic()
        status, note, ticket = f"0x{self._status:04X}", self._note, self._ticket
        instruments.IMAGES.labels(status).inc()
        instruments.ACK.observe(now - self._arrived)
        if note is not None:
            instruments.BYTES.inc(note.size_bytes - self._offset)
        get_log().info(
            "image answered",
            status=status,
            cause=self._cause,
            calling_ae=self._sender.calling_ae,
            event_id=str(ticket.event_id) if ticket and ticket.event_id else None,
            lane=note.lane if note else None,
            site=note.site if note else None,
            bytes=note.size_bytes if note else None,
            transfer_syntax_uid=self._transfer_syntax_uid,
            receive_ms=round((self._arrived - self._began) * 1000, 1),
            ack_ms=round((now - self._arrived) * 1000, 1),
        )
