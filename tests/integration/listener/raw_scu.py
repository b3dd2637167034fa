"""A C-STORE user on a bare socket, which may lie, stop half-way and speak nonsense (PS3.8 section 9)."""

import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from dicom_listener.standard.command_set import StoreRequest

CHEST = "1.2.840.10008.5.1.4.1.1.1.1"
VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"
TIMEOUT_SECONDS = 30.0

ACCEPT, REJECT, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = 2, 3, 4, 5, 6, 7
LAST_COMMAND, LAST_DATA, MORE_DATA = 3, 2, 0


@dataclass(frozen=True)
class Pdu:
    """A PDU as it came."""

    kind: int
    body: bytes


class Closed(Exception):
    """The listener closed the connection."""


class RawScu:
    """One connection. Use as a context manager."""

    def __init__(self, port: int, calling_ae: str = "RAW", called_ae: str = "RADSTREAM") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._calling_ae, self._called_ae = calling_ae, called_ae
        self._message_id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def associate(self, abstract: str = CHEST, *transfer: str) -> Pdu:
        """Ask for an association with context 1; give the answer."""
        self.send(associate_rq([(abstract, *(transfer or (EXPLICIT,)))], self._calling_ae, self._called_ae))
        return self.receive()

    def store(self, data: bytes, uid: str, sop_class: str = CHEST, priority: int = 0) -> int:
        """Send an object; give the status of the answer."""
        self.command(uid, sop_class, priority)
        self.data(data)
        return self.status()

    def command(self, uid: str, sop_class: str = CHEST, priority: int = 0) -> None:
        """Send a C-STORE's command set."""
        self._message_id += 1
        self.send(pdv(LAST_COMMAND, store_command(StoreRequest(self._message_id, sop_class, uid, priority))))

    def data(self, data: bytes, *, last: bool = True, fragment: int = 16000) -> None:
        """Send a data set in fragments; without `last` it stays incomplete."""
        for at in range(0, max(1, len(data)), fragment):
            end = at + fragment >= len(data)
            self.send(pdv(LAST_DATA if last and end else MORE_DATA, data[at : at + fragment]))

    def status(self) -> int:
        """Receive the answer to a C-STORE; give its status."""
        pdu = self.receive()
        assert pdu.kind == P_DATA, f"a PDU of type {pdu.kind} came instead of an answer"
        return dict(_elements(pdu.body[6:]))[0x0900]

    def release(self) -> None:
        """Release the association in order."""
        self.send(pdu(RELEASE_RQ, bytes(4)))
        assert self.receive().kind == RELEASE_RP

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def receive(self) -> Pdu:
        """Receive one PDU; raise Closed."""
        kind, _, length = struct.unpack(">BBI", self._exactly(6))
        return Pdu(kind, self._exactly(length))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                more = self._socket.recv(count - len(data))
            except ConnectionResetError as error:
                raise Closed from error
            if not more:
                raise Closed
            data += more
        return data


def associate_rq(contexts: Sequence[Sequence[str]], calling_ae: str = "RAW", called_ae: str = "RADSTREAM") -> bytes:
    """Write an A-ASSOCIATE-RQ; contexts 1, 3, 5 and on, each an abstract syntax and its transfer syntaxes."""
    proposed = b""
    for number, (abstract, *transfer) in enumerate(contexts):
        syntaxes = b"".join(_item(0x40, uid.encode()) for uid in transfer)
        head = struct.pack(">BBBB", 2 * number + 1, 0, 0, 0)
        proposed += _item(0x20, head + _item(0x30, abstract.encode()) + syntaxes)
    user = _item(0x50, _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.3.4"))
    titles = called_ae.ljust(16).encode() + calling_ae.ljust(16).encode()
    application = _item(0x10, b"1.2.840.10008.3.1.1.1")
    return pdu(1, struct.pack(">HH", 1, 0) + titles + bytes(32) + application + proposed + user)


def pdv(control: int, data: bytes, context: int = 1) -> bytes:
    """Wrap bytes into a P-DATA-TF with one PDV."""
    return pdu(P_DATA, struct.pack(">IBB", len(data) + 2, context, control) + data)


def store_command(request: StoreRequest) -> bytes:
    """Write a C-STORE-RQ (PS3.7 table 9.3-1)."""
    body = b"".join(
        (
            element(0x0002, _even(request.sop_class_uid)),
            element(0x0100, struct.pack("<H", 1)),
            element(0x0110, struct.pack("<H", request.message_id)),
            element(0x0700, struct.pack("<H", request.priority)),
            element(0x0800, struct.pack("<H", 1)),
            element(0x1000, _even(request.sop_instance_uid)),
        )
    )
    return element(0, struct.pack("<I", len(body))) + body


def _even(text: str) -> bytes:
    data = text.encode()
    return data + b"\0" * (len(data) % 2)


def element(number: int, value: bytes) -> bytes:
    """Write an element of a command set (group 0000, implicit VR little endian)."""
    return struct.pack("<HHI", 0, number, len(value)) + value


def _elements(command: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(command):
        _, element, length = struct.unpack_from("<HHI", command, at)
        yield element, int.from_bytes(command[at + 8 : at + 8 + length], "little")
        at += 8 + length


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def pdu(kind: int, body: bytes) -> bytes:
    """Wrap a body into a PDU."""
    return struct.pack(">BBI", kind, 0, len(body)) + body
