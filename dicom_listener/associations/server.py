"""A worker's listener: connections come from the parent, images go to the door; its logs free of patient data."""

import logging
import socket
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import pydicom.config
from pynetdicom import AE, _config
from pynetdicom.events import EventHandlerType

from dicom_listener import instruments
from dicom_listener.associations.connections import Associations, GatedAssociation
from dicom_listener.associations.gate import Gate
from dicom_listener.associations.pace import Pace
from dicom_listener.associations.porch import Caller, Porch
from dicom_listener.associations.tls import TlsIdentity
from dicom_listener.associations.upper_layer import Receipt
from dicom_listener.processes.channel import Arrived
from dicom_listener.processes.link import Arbiter
from dicom_listener.receiving.routes import read_routes
from dicom_listener.standard.command_set import StoreRequest
from dicom_listener.standard.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from radstream.logs import get_log
from radstream.settings import Settings

if TYPE_CHECKING:
    from pynetdicom.association import Association


class _ExceptionsOnly(logging.Handler):
    """Passes a library's exceptions on without their text, and nothing else: its messages quote values."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log an exception's type and place."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            get_log().error("upper layer failed", component=record.name, exc_info=error)


class Images(Protocol):
    """Where images are received."""

    def begin(self, assoc: "Association", request: StoreRequest, context: tuple[str, str]) -> Receipt:
        """Receive an object whose data set follows; `context`: its abstract and transfer syntax. Never raises."""


class Listener:
    """Serves the connections that arrive, from `start` to `stop_accepting`."""

    def __init__(
        self,
        settings: Settings,
        images: Images,
        arbiter: Arbiter,
        pace: Pace,
        handlers: Sequence[EventHandlerType] = (),
    ) -> None:
        """`handlers`: of pynetdicom's events, for other services than storage. Raises SettingInvalid."""
        self._arbiter = arbiter
        self._ae = AE(settings.ae_title)
        # pynetdicom refuses the 11th by default; the arbiter counts, for all processes.
        self._ae.maximum_associations = settings.maximum_associations + settings.verification_associations
        self._ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        self._ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self._tls = TlsIdentity(settings) if settings.tls_certificate else None
        self._gate = Gate(settings, read_routes(settings.routes), arbiter)
        self._door = _Doorkeeper(images, pace)
        self._associations = Associations(settings, self._gate, self._door, handlers, self._over)
        self._porch = Porch(settings.artim_seconds, self._asked, self._gone)

    def start(self) -> None:
        """Take connections from now on."""
        # Identifiers are logged by default: patient data (pynetdicom#911).
        _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
        _config.LOG_HANDLER_LEVEL = "none"
        # Warnings quote the value that is wrong; we look at UIDs ourselves.
        validation = pydicom.config.settings
        validation.reading_validation_mode = validation.writing_validation_mode = pydicom.config.IGNORE
        for library in ("pynetdicom", "pydicom"):
            logging.getLogger(library).propagate = False
            logging.getLogger(library).handlers = [_ExceptionsOnly(logging.ERROR)]
        self._porch.start()

    def arrived(self, arrival: Arrived, client: socket.socket) -> None:
        """Take a connection."""
        try:
            tls = self._tls.context() if self._tls and arrival.tls else None
            self._porch.add(arrival.connection, (arrival.host, arrival.port), client, tls)
        except OSError:  # the peer has gone already
            client.close()
            self._gone(arrival.connection, arrival.host, "closed")

    def drop(self, connection: int) -> None:
        """Close a connection that has asked for nothing yet."""
        self._porch.drop(connection, "crowded_out")

    def stop_accepting(self) -> None:
        """Close what has asked for nothing yet; associations go on."""
        self._porch.drop_all("stopping")

    def abort_all(self) -> None:
        """Abort the associations that are still there."""
        self._associations.abort_all()

    def _asked(self, caller: Caller, client: socket.socket, request: bytes) -> None:
        try:
            self._associations.open(self._ae, caller, client, request)
        except Exception as error:  # noqa: BLE001 - one connection that can't be served must not end the others
            get_log().error("connection failed", exc_info=error)
            client.close()
            self._gone(caller.connection, caller.host, "internal")

    def _gone(self, connection: int, host: str, cause: str) -> None:
        """Note that a connection ended before it asked for an association."""
        instruments.CONNECTIONS_LOST.labels(cause).inc()
        get_log().info("connection ended", association=connection, peer=host, cause=cause)
        self._arbiter.over(connection)

    def _over(self, assoc: GatedAssociation) -> None:
        """Write the one line of an association."""
        self._arbiter.over(assoc.caller.connection)
        end = "rejected" if assoc.is_rejected else "released" if assoc.is_released else "aborted"
        ae = self._gate.label(assoc.requestor.ae_title)
        received = getattr(assoc.dul.socket, "received_bytes", 0)
        instruments.ASSOCIATIONS.labels(end, ae).inc()
        instruments.ASSOCIATION_IMAGES.labels(ae).inc(assoc.images)
        instruments.ASSOCIATION_BYTES.labels(ae).inc(received)
        if assoc.refusal is not None:
            instruments.ASSOCIATION_REFUSALS.labels(assoc.refusal.cause, ae).inc()
        request = assoc.requestor.primitive
        get_log().info(
            "association ended",
            association=assoc.caller.connection,
            calling_ae=assoc.requestor.ae_title,
            called_ae=request.called_ae_title if request else None,
            peer=assoc.caller.host,
            tls=assoc.caller.tls,
            state=end,
            cause=assoc.refusal.cause if assoc.refusal else None,
            images=assoc.images,
            bytes=received,
            seconds=round(time.monotonic() - assoc.began, 3),
        )


class _Doorkeeper:
    """The door of every association, behind the pace of each sender."""

    def __init__(self, images: Images, pace: Pace) -> None:
        self._images = images
        self._pace = pace

    def begin(self, assoc: "Association", request: StoreRequest, context: tuple[str, str]) -> Receipt:
        """Receive an object, no faster than its sender may send."""
        receipt = self._images.begin(assoc, request, context)
        if not self._pace.limits:
            return receipt
        self._pace.image(assoc.requestor.ae_title)
        return _PacedReceipt(receipt, self._pace, assoc.requestor.ae_title)

    def closed(self, assoc: "Association", images: int) -> None:
        """Keep the count for the association's line."""
        if isinstance(assoc, GatedAssociation):
            assoc.images = images


class _PacedReceipt:
    """An object that arrives no faster than its sender may send."""

    def __init__(self, receipt: Receipt, pace: Pace, calling_ae: str) -> None:
        self._receipt = receipt
        self._pace = pace
        self._calling_ae = calling_ae

    @property
    def room(self) -> memoryview:
        """Where the next bytes may be put."""
        return self._receipt.room

    def took(self, count: int) -> None:
        """Take bytes, then wait where there were too many."""
        self._receipt.took(count)
        self._pace.data(self._calling_ae, count)

    def finish(self) -> int:
        """Give the status of the answer."""
        return self._receipt.finish()

    def discard(self) -> None:
        """Leave nothing."""
        self._receipt.discard()
