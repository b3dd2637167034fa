"""From an accepted connection to pynetdicom's association with our data path."""

import socket
from typing import TYPE_CHECKING, Any

from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from dicom_listener.upper_layer import BufferedSocket, Door, StoreDul
from radstream.logs import get_log

if TYPE_CHECKING:
    from pynetdicom.association import Association

#: Connections that have not asked for an association yet count too, up to this factor.
_CONNECTIONS_PER_ASSOCIATION = 2


class StoreServer(ThreadedAssociationServer):
    """pynetdicom's server, whose associations have our data path."""

    request_queue_size = 128

    def __init__(self, *positional: Any, door: Door, socket_timeout_seconds: float, **named: Any) -> None:
        self.door = door
        self.socket_timeout_seconds = socket_timeout_seconds
        super().__init__(*positional, **{**named, "request_handler": _StoreRequestHandler})

    def verify_request(self, _request: Any, _client_address: Any) -> bool:
        """Close at once what is far over the limit; up to the limit's double the peer gets its A-ASSOCIATE-RJ."""
        return len(self.active_associations) < self.ae.maximum_associations * _CONNECTIONS_PER_ASSOCIATION

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """Log what kept a connection from becoming an association; the others go on."""
        get_log().warning("connection failed", exc_info=True)


class _StoreRequestHandler(RequestHandler):
    server: StoreServer

    def _create_association(self) -> "Association":
        """Make pynetdicom's association and put our upper layer and socket in."""
        assoc = super()._create_association()
        self.request.settimeout(self.server.socket_timeout_seconds)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assoc.dul = StoreDul(assoc, self.server.door, self.ae.maximum_pdu_size)
        # Timers belong to the upper layer: set them again on ours.
        assoc.acse_timeout = self.ae.acse_timeout
        assoc.network_timeout = self.ae.network_timeout
        assoc.set_socket(BufferedSocket(assoc, self.request))
        return assoc
