"""The least that receiving and hashing costs: a loop on a plain socket, a process for each association, no RadStream.

`python benchmarks/_bare_receiver.py FOLDER PORT [--no-hash] [--processes N]` answers A-ASSOCIATE by rote, receives the
data set into one buffer, puts it through SHA-256 while it arrives, writes it to a new file as `storescp` does (no
fsync, no name that anybody could use), answers Success. It looks at nothing: no limits, no header, no statuses, no
faults. So nobody who hashes with this library on these cores, beside these senders, is much faster.
Each process takes one association at a time, so no interpreter's lock is in the way.
"""

import argparse
import hashlib
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

PROCESSES = 4
_LARGEST_PDU_BYTES = 131072  # what is received at once stays in the core's cache for the hash and the copy
_BACKLOG = 64

_PDV_COUNTED = 2  # of the PDV's header, what its length counts (bytes)
_PDU, _PDV, _ITEM = struct.Struct(">BBI"), struct.Struct(">IBB"), struct.Struct(">BBH")
_ASSOCIATE_RQ, _P_DATA, _RELEASE_RQ = 0x01, 0x04, 0x05  # PS3.8 table 9-11 and on
_ACCEPT_FIXED_BYTES = 68  # of A-ASSOCIATE-RQ's body, what stands before its items: an acceptor repeats it
_APPLICATION_CONTEXT, _PROPOSED, _ACCEPTED, _SYNTAX, _USER, _MAXIMUM = 0x10, 0x20, 0x21, 0x40, 0x50, 0x51
_COMMAND, _LAST = 0x01, 0x02  # PS3.8 E.2
_RELEASED = struct.pack(">BBII", 0x06, 0, 4, 0)

_MESSAGE_ID = struct.pack("<HHI", 0x0000, 0x0110, 2)  # the element up to its value, in Implicit VR Little Endian
#: C-STORE-RSP (PS3.7 table 9.3-2) around its message id: Success, no data set.
_ELEMENT = struct.Struct("<HHIH")
_TAGS = ((0x0100, 0x8001), (0x0120, None), (0x0800, 0x0101), (0x0900, 0x0000))


class Association:
    """One connection and the data set that arrives on it."""

    def __init__(self, client: socket.socket, names: Iterator[Path], *, hashes: bool) -> None:
        self._client = client
        self._room = memoryview(bytearray(_LARGEST_PDU_BYTES))
        self._names = names
        self._hashes = hashes
        self._command = b""
        self._file = -1
        self._hasher = hashlib.sha256()

    def serve(self) -> None:
        """Receive until the peer goes; raise EOFError when it does."""
        while True:
            kind, _, length = _PDU.unpack(self._exactly(_PDU.size))
            if kind == _P_DATA:
                self._receive(length)
            elif kind == _ASSOCIATE_RQ:
                self._client.sendall(_accepted(bytes(self._exactly(length))))
            elif kind == _RELEASE_RQ:
                self._client.sendall(_RELEASED)
            else:
                return

    def _receive(self, left: int) -> None:
        while left:
            counted, context, control = _PDV.unpack(self._exactly(_PDV.size))
            size = counted - _PDV_COUNTED
            left -= _PDV.size + size
            part = self._exactly(size)
            if control & _COMMAND:
                self._command += part
                continue
            if self._file < 0:
                self._file = os.open(next(self._names), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                self._hasher = hashlib.sha256()
            if self._hashes:
                self._hasher.update(part)
            os.write(self._file, part)
            if control & _LAST:
                self._hasher.hexdigest()
                os.close(self._file)
                self._client.sendall(_answer(context, self._command))
                self._command, self._file = b"", -1

    def _exactly(self, count: int) -> memoryview:
        """Give `count` bytes, in place; raise EOFError at the end."""
        part = self._room[:count]
        if self._client.recv_into(part, 0, socket.MSG_WAITALL) < count:
            raise EOFError
        return part


def _answer(context: int, command: bytes) -> bytes:
    at = command.index(_MESSAGE_ID) + len(_MESSAGE_ID)
    message_id = int.from_bytes(command[at : at + 2], "little")
    body = b"".join(_ELEMENT.pack(0, tag, 2, message_id if value is None else value) for tag, value in _TAGS)
    body = struct.pack("<HHII", 0, 0, 4, len(body)) + body
    return (
        _PDU.pack(_P_DATA, 0, _PDV.size + len(body))
        + _PDV.pack(len(body) + _PDV_COUNTED, context, _COMMAND | _LAST)
        + body
    )


def _accepted(request: bytes) -> bytes:
    """Accept each context with the first transfer syntax that it proposes."""
    items = b""
    for kind, value in _items(request[_ACCEPT_FIXED_BYTES:]):
        if kind == _APPLICATION_CONTEXT:
            items += _ITEM.pack(kind, 0, len(value)) + value
        elif kind == _PROPOSED:
            syntax = next(one for sub, one in _items(value[4:]) if sub == _SYNTAX)
            items += _ITEM.pack(_ACCEPTED, 0, 8 + len(syntax)) + bytes((value[0], 0, 0, 0))
            items += _ITEM.pack(_SYNTAX, 0, len(syntax)) + syntax
    maximum = _ITEM.pack(_MAXIMUM, 0, 4) + _LARGEST_PDU_BYTES.to_bytes(4, "big")
    identity = _ITEM.pack(0x52, 0, 6) + b"2.25.1"
    items += _ITEM.pack(_USER, 0, len(maximum + identity)) + maximum + identity
    return _PDU.pack(0x02, 0, _ACCEPT_FIXED_BYTES + len(items)) + request[:_ACCEPT_FIXED_BYTES] + items


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        kind, _, length = _ITEM.unpack(data[: _ITEM.size])
        yield kind, data[_ITEM.size : _ITEM.size + length]
        data = data[_ITEM.size + length :]


def main() -> None:
    """Listen until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--no-hash", action="store_true")
    parser.add_argument("--processes", type=int, default=PROCESSES)
    given = parser.parse_args()
    door = socket.create_server(("127.0.0.1", given.port), backlog=_BACKLOG)
    for _ in range(given.processes - 1):
        if not os.fork():
            break
    names = (given.folder / f"{os.getpid()}.{number}" for number in count())
    while True:
        client, _ = door.accept()
        with client, suppress(EOFError, ConnectionError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Association(client, names, hashes=not given.no_hash).serve()


if __name__ == "__main__":
    main()
