"""Where connections wait until they have asked for an association: one thread for all of them.

TLS is shaken and the A-ASSOCIATE-RQ read here, without blocking, so that a peer that says nothing costs a file
descriptor and no thread, and delays nobody. The ARTIM timer (PS3.8 9.1.5) covers both. What is no A-ASSOCIATE-RQ of
our protocol version is answered here (PS3.8 table 9-10, Sta2).
"""

import selectors
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dicom_listener.associations.tls import fingerprint
from dicom_listener.standard.refusals import PROTOCOL_VERSION

_PDU = struct.Struct(">BBI")
_ASSOCIATE_RQ, _ABORT = 0x01, 0x07
_VERSION = slice(_PDU.size, _PDU.size + 2)
_VERSION_1 = b"\0\1"
#: PS3.8 9.3.8: from the service provider, for an unrecognized PDU.
_ABORTED = struct.pack(">BBIBBBB", _ABORT, 0, 4, 0, 0, 2, 1)
#: PS3.8 9.3.4.
_REJECTED = struct.pack(
    ">BBIBBBB", 0x03, 0, 4, 0, PROTOCOL_VERSION.result, PROTOCOL_VERSION.source, PROTOCOL_VERSION.reason
)
#: A peer that we have answered may take this long to close; unread bytes would turn our close into a reset.
_LINGER_SECONDS = 2.0
#: PS3.8 table 9-11, and 128 contexts of 40 transfer syntaxes and a long user identity (bytes).
_REQUEST_BYTES = range(68, 256 * 1024 + 1)
_ROUND_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who connected."""

    connection: int
    host: str
    port: int
    tls: str | None = None  # the version: TLSv1.2 or TLSv1.3
    fingerprint: str | None = None  # of the peer's certificate


@dataclass(slots=True)
class _Guest:
    """A connection that waits."""

    connection: int
    peer: tuple[str, int]
    socket: socket.socket
    deadline: float
    handshaking: bool
    read: bytearray = field(default_factory=bytearray)
    wanted: int = _PDU.size
    answered: str | None = None  # the cause of our refusal: only its close is awaited


class Porch:
    """Takes connections, gives those that asked. `add` and `drop` are thread-safe."""

    def __init__(
        self,
        artim_seconds: float,
        asked: Callable[[Caller, socket.socket, bytes], None],
        gone: Callable[[int, str, str], None],
    ) -> None:
        """`asked`: gets a whole A-ASSOCIATE-RQ; `gone`: connection, peer and cause."""
        self._artim_seconds = artim_seconds
        self._asked = asked
        self._gone = gone
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = socket.socketpair()
        self._bell.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._guests: dict[int, _Guest] = {}
        self._arriving: list[_Guest] = []
        self._leaving: list[tuple[int, str]] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="porch", daemon=True).start()

    def add(self, connection: int, peer: tuple[str, int], client: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Take a connection."""
        client.setblocking(False)
        if tls is not None:
            client = tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        deadline = time.monotonic() + self._artim_seconds
        with self._lock:
            self._arriving.append(_Guest(connection, peer, client, deadline, handshaking=tls is not None))
        self._ring()

    def drop(self, connection: int, cause: str) -> None:
        """Close a connection if it still waits."""
        with self._lock:
            self._leaving.append((connection, cause))
        self._ring()

    def drop_all(self, cause: str) -> None:
        """Close every connection that waits."""
        for connection in list(self._guests):
            self.drop(connection, cause)

    def _ring(self) -> None:
        self._rope.send(b".")

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select(_ROUND_SECONDS):
                if key.data is None:
                    self._bell.recv(4096)
                    self._greet()
                else:
                    self._attend(key.data)
            now = time.monotonic()
            for guest in [one for one in self._guests.values() if one.deadline < now]:
                self._let_go(guest, guest.answered or ("handshake_timeout" if guest.handshaking else "artim"))

    def _greet(self) -> None:
        with self._lock:
            arriving, self._arriving = self._arriving, []
            leaving, self._leaving = self._leaving, []
        for guest in arriving:
            self._guests[guest.connection] = guest
            self._selector.register(guest.socket, selectors.EVENT_READ, guest)
        for connection, cause in leaving:
            if connection in self._guests:
                self._let_go(self._guests[connection], cause)

    def _attend(self, guest: _Guest) -> None:
        """Go on with a connection as far as its bytes allow; one that was closed in the same round is over."""
        if guest.connection not in self._guests:
            return
        try:
            if guest.handshaking:
                assert isinstance(guest.socket, ssl.SSLSocket)  # noqa: S101 - for the type checker
                guest.socket.do_handshake()
                guest.handshaking = False
                self._selector.modify(guest.socket, selectors.EVENT_READ, guest)
            if guest.answered:
                self._drain(guest)
            elif self._is_request(guest):
                self._hand_over(guest)
        except (ssl.SSLWantReadError, BlockingIOError):
            self._selector.modify(guest.socket, selectors.EVENT_READ, guest)
        except ssl.SSLWantWriteError:
            self._selector.modify(guest.socket, selectors.EVENT_WRITE, guest)
        except (OSError, ValueError):  # ssl.SSLError is an OSError
            self._let_go(guest, guest.answered or ("handshake" if guest.handshaking else "closed"))

    def _is_request(self, guest: _Guest) -> bool:
        """Read what came; say whether the A-ASSOCIATE-RQ is whole. What is none gets its answer."""
        while len(guest.read) < guest.wanted:
            data = guest.socket.recv(guest.wanted - len(guest.read))
            if not data:
                raise ConnectionError("the peer closed the connection")
            guest.read += data
            if guest.wanted == len(guest.read) == _PDU.size:
                kind, _, length = _PDU.unpack(guest.read)
                if kind == _ABORT:
                    raise ConnectionError("the peer aborted")
                if kind != _ASSOCIATE_RQ or length not in _REQUEST_BYTES:
                    self._answer(guest, _ABORTED, "no_upper_layer")
                    return False
                guest.wanted += length
        if not guest.read[_VERSION][1] & 1:  # PS3.8 table 9-11: only bit 0 is tested
            self._answer(guest, _REJECTED, PROTOCOL_VERSION.cause)
            return False
        guest.read[_VERSION] = _VERSION_1
        return True

    def _answer(self, guest: _Guest, pdu: bytes, cause: str) -> None:
        guest.answered = cause
        guest.deadline = time.monotonic() + _LINGER_SECONDS
        guest.socket.send(pdu)
        self._drain(guest)

    @staticmethod
    def _drain(guest: _Guest) -> None:
        """Drop what the peer still sends; raise ConnectionError when it has closed."""
        if not guest.socket.recv(64 * 1024):
            raise ConnectionError("the peer closed the connection")

    def _hand_over(self, guest: _Guest) -> None:
        self._forget(guest)
        tls = guest.socket if isinstance(guest.socket, ssl.SSLSocket) else None
        caller = Caller(
            connection=guest.connection,
            host=guest.peer[0],
            port=guest.peer[1],
            tls=tls.version() if tls else None,
            fingerprint=fingerprint(tls) if tls else None,
        )
        self._asked(caller, guest.socket, bytes(guest.read))

    def _let_go(self, guest: _Guest, cause: str) -> None:
        self._forget(guest)
        guest.socket.close()
        self._gone(guest.connection, guest.peer[0], cause)

    def _forget(self, guest: _Guest) -> None:
        self._selector.unregister(guest.socket)
        del self._guests[guest.connection]
