"""pynetdicom's application entity with our data path: started, stopped, its logs kept free of patient data."""

import errno
import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pydicom.config
from pynetdicom import AE, _config, evt
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined] # made at import

from dicom_listener.connections import StoreServer
from dicom_listener.contexts import supported
from dicom_listener.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_listener.upper_layer import Door
from radstream.logs import get_log
from radstream.settings import Settings
from schemas.errors import PortInUse, SettingInvalid

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.transport import ThreadedAssociationServer

#: A peer that says nothing this long within an association is given up (seconds).
NETWORK_SECONDS = 60.0
#: From the connection to the A-ASSOCIATE-RQ: the ARTIM timer (PS3.8 9.1.5).
ACSE_SECONDS = 30.0
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class _ExceptionsOnly(logging.Handler):
    """Passes a library's exceptions on without their text, and nothing else: its messages quote values."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log an exception's type and place."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            get_log().error("upper layer failed", component=record.name, exc_info=error)


class _Entity(AE):
    """pynetdicom's application entity, whose limit counts associations that were asked for and are not over."""

    @property
    def active_associations(self) -> "list[Association]":
        """The associations that count."""
        return [
            assoc
            for assoc in super().active_associations
            if assoc.requestor.primitive and not (assoc.is_rejected or assoc.is_released or assoc.is_aborted)
        ]


class Listener:
    """Accepts associations from `start` to `stop`."""

    def __init__(self, settings: Settings, door: Door, handlers: Sequence[EventHandlerType] = ()) -> None:
        self._settings = settings
        self._door = door
        self._handlers = handlers  # of pynetdicom's events
        self._server: ThreadedAssociationServer | None = None

    def start(self) -> None:
        """Bind and accept; raise PortInUse, or SettingInvalid for an open door beyond loopback."""
        settings = self._settings
        # Identifiers are logged by default: patient data (pynetdicom#911).
        _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
        _config.LOG_HANDLER_LEVEL = "none"
        # Warnings quote the value that is wrong; we look at UIDs ourselves.
        validation = pydicom.config.settings
        validation.reading_validation_mode = validation.writing_validation_mode = pydicom.config.IGNORE
        for library in ("pynetdicom", "pydicom"):
            logging.getLogger(library).propagate = False
            logging.getLogger(library).handlers = [_ExceptionsOnly(logging.ERROR)]
        ae = _Entity(settings.ae_title)
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.require_calling_aet = self._allowed()
        ae.maximum_associations = settings.maximum_associations
        ae.maximum_pdu_size = settings.maximum_pdu_bytes
        ae.network_timeout, ae.acse_timeout = NETWORK_SECONDS, ACSE_SECONDS
        ae.add_supported_context(Verification)
        try:
            server = ae.make_server(
                (settings.bind_address, settings.dicom_port),
                evt_handlers=[(evt.EVT_REQUESTED, self._take_contexts), *self._handlers],
                server_class=StoreServer,
                door=self._door,
                socket_timeout_seconds=NETWORK_SECONDS,
            )
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise SettingInvalid(
                    f"RADSTREAM_BIND_ADDRESS={settings.bind_address} can't be bound (errno {error.errno})"
                ) from error
            raise PortInUse(
                f"port {settings.dicom_port} is in use on {settings.bind_address}: stop what listens there, "
                "or set RADSTREAM_DICOM_PORT or RADSTREAM_PORT_OFFSET"
            ) from error
        ae._servers.append(server)  # noqa: SLF001 - `shutdown` expects it, only `start_server` does it
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.1,), name="listener", daemon=True).start()

    def stop_accepting(self) -> None:
        """Close the port; associations go on."""
        if self._server is not None:
            self._server.shutdown()

    def abort_all(self) -> None:
        """Abort the associations that are still there."""
        if self._server is not None:
            for assoc in self._server.active_associations:
                assoc.abort(block=False)

    def _take_contexts(self, event: Event) -> None:
        primitive = event.assoc.requestor.primitive
        event.assoc.acceptor.supported_contexts = supported(
            primitive.presentation_context_definition_list if primitive else (),
            unknown_syntaxes=self._settings.accept_unknown_syntaxes,
        )

    def _allowed(self) -> list[str]:
        allowed = list(self._settings.allowed_aes)
        if "*" not in allowed:
            return allowed
        if self._settings.bind_address not in _LOOPBACK:
            raise SettingInvalid(
                f"RADSTREAM_ALLOWED_AES=* with RADSTREAM_BIND_ADDRESS={self._settings.bind_address}: "
                "beyond loopback name the calling AE titles that may send"
            )
        get_log().warning("every calling AE may send", setting="RADSTREAM_ALLOWED_AES", address="loopback")
        return []
