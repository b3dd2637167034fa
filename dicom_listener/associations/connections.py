"""From a connection that asked for an association to pynetdicom's association with our gate and our data path."""

import socket
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from pynetdicom import AE, evt
from pynetdicom.acse import ACSE
from pynetdicom.association import Association
from pynetdicom.events import EventHandlerType
from pynetdicom.pdu_primitives import A_ASSOCIATE, UserIdentityNegotiation
from pynetdicom.transport import AddressInformation

from dicom_listener.associations.buffered_socket import BufferedSocket
from dicom_listener.associations.gate import Gate
from dicom_listener.associations.porch import Caller
from dicom_listener.associations.upper_layer import Door, StoreDul
from radstream.objects.waiting import limit_waiting
from radstream.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from pynetdicom.pdu import A_ASSOCIATE_RQ

    from dicom_listener.standard.refusals import Refusal

#: The request is there already: what is waited for is the peer's closing after a refusal or a release.
ACSE_SECONDS = 5.0
#: linux/tcp.h: `tcpi_bytes_received`.
_BYTES_RECEIVED = struct.Struct("=128xQ")


class DoorSocket(BufferedSocket):
    """Our socket, which knows how much came."""

    received_bytes = 0  # on the wire, when it is closed

    def _shutdown_socket(self) -> None:
        if self.socket is not None:
            with suppress(OSError, struct.error):
                found = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED.size)
                self.received_bytes = _BYTES_RECEIVED.unpack(found)[0]
        super()._shutdown_socket()


class GatedDul(StoreDul):
    """The upper layer of a connection whose A-ASSOCIATE-RQ has been read."""

    def __init__(self, assoc: Association, door: Door, maximum_pdu_bytes: int, request: bytes) -> None:
        super().__init__(assoc, door, maximum_pdu_bytes)
        self._request = request

    def run_reactor(self) -> None:
        """Begin with the request, then run until the association is over."""
        try:
            pdu, event = self._decode_pdu(bytearray(self._request))
        except Exception:  # noqa: BLE001 - pynetdicom raises what it likes on bytes that it can't read
            self.event_queue.put("Evt19")
        else:
            self._recv_pdu.put(cast("A_ASSOCIATE_RQ", pdu))
            self.event_queue.put(event)
        super().run_reactor()


class GatedAcse(ACSE):
    """pynetdicom's negotiation behind our gate."""

    def negotiate_association(self) -> None:
        """Refuse what the gate refuses; negotiate the rest."""
        assoc = cast("GatedAssociation", self.assoc)
        request = cast("A_ASSOCIATE", self.requestor.primitive)
        self.requestor.ae_title = request.calling_ae_title
        refusal = assoc.gate.refusal_of(assoc.caller, self.requestor)
        if refusal is None:
            self.acceptor.supported_contexts = assoc.gate.contexts_for(request.presentation_context_definition_list)
            super().negotiate_association()
            return
        assoc.refusal = refusal
        self.send_reject(refusal.result, refusal.source, refusal.reason)
        evt.trigger(assoc, evt.EVT_REJECTED, {})
        assoc.kill()

    def _check_user_identity(self) -> tuple[bool, UserIdentityNegotiation | None]:
        """Answer a user that the gate has let in; for usernames the answer is empty (PS3.7 D.3.3.7.2)."""
        asked = self.requestor.user_identity
        if (
            asked is None
            or not asked.positive_response_requested
            or not cast("GatedAssociation", self.assoc).gate.users
        ):
            return True, None
        answer = UserIdentityNegotiation()
        answer.server_response = b""
        return True, answer


class GatedAssociation(Association):
    """One association, from its request to its end."""

    def __init__(self, ae: AE, caller: Caller, gate: Gate, over: "Callable[[GatedAssociation], None]") -> None:
        super().__init__(ae, "acceptor")
        self.name = f"association-{caller.connection}"
        self.caller = caller
        self.gate = gate
        self.refusal: Refusal | None = None
        self.images = 0
        self.began = time.monotonic()
        self.acse = GatedAcse(self)
        self._over = over

    def run_reactor(self) -> None:
        """Run until the association is over, then close what is left and tell."""
        try:
            super().run_reactor()
        finally:
            self.dul.kill_dul()
            self.dul.join(ACSE_SECONDS)
            peer = cast("DoorSocket", self.dul.socket)
            peer.close()
            cast("GatedDul", self.dul).bell.close()
            self._over(self)


class Associations:
    """Makes associations of callers, and knows those that are there. Thread-safe."""

    def __init__(
        self,
        settings: Settings,
        gate: Gate,
        door: Door,
        handlers: Sequence[EventHandlerType],
        over: "Callable[[GatedAssociation], None]",
    ) -> None:
        self._settings = settings
        self._gate = gate
        self._door = door
        self._handlers = handlers
        self._tell = over
        self._there: set[GatedAssociation] = set()
        self._lock = threading.Lock()

    def open(self, ae: AE, caller: Caller, client: socket.socket, request: bytes) -> None:
        """Start an association whose request has been read."""
        settings = self._settings
        limit_waiting(client, settings.dimse_seconds)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assoc = GatedAssociation(ae, caller, self._gate, self._end)
        assoc.dul = dul = GatedDul(assoc, self._door, settings.maximum_pdu_bytes, request)
        # Timers belong to the upper layer: set them on ours.
        assoc.acse_timeout, assoc.network_timeout = ACSE_SECONDS, settings.idle_seconds
        assoc.dimse_timeout = settings.dimse_seconds
        assoc.set_socket(DoorSocket(assoc, client, dul.bell))
        assoc.acceptor.maximum_length = settings.maximum_pdu_bytes
        assoc.acceptor.ae_title = ae.ae_title
        assoc.acceptor.address_info = AddressInformation.from_tuple(client.getsockname())
        assoc.acceptor.implementation_class_uid = ae.implementation_class_uid
        assoc.acceptor.implementation_version_name = ae.implementation_version_name
        assoc.requestor.address_info = AddressInformation(caller.host, caller.port)
        for handler in (*self._handlers, (evt.EVT_ASYNC_OPS, _one_at_a_time)):
            assoc.bind(*handler)
        with self._lock:
            self._there.add(assoc)
        assoc.start()

    def abort_all(self) -> None:
        """Abort the associations that are still there."""
        with self._lock:
            there = list(self._there)
        for assoc in there:
            assoc.abort(block=False)

    def _end(self, assoc: GatedAssociation) -> None:
        with self._lock:
            self._there.discard(assoc)
        self._tell(assoc)


def _one_at_a_time(_event: evt.Event) -> tuple[int, int]:
    """Answer an asynchronous operations window: one operation at a time, either way (PS3.7 D.3.3.3)."""
    return 1, 1
