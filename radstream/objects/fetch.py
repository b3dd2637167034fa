"""An object's body straight into the caller's memory or out of it, each over a kept connection.

Read piece by piece, a film of 10 MB takes some hundred calls, and after each the thread waits for the interpreter's
lock, behind whoever works: under load an image waited 27 ms for a fetch that takes 3. http.client makes a parser and
an e-mail's headers of each answer and sends a body apart from its head: 0.17 ms of CPU for a small GET that takes 0.08
here, and for each heat map 0.3 ms of a busy process; urllib3 does as http.client does. Small puts that come together
are sent behind each other before the first answer is read (RFC 9112 9.3.2: what may be asked again may be pipelined).
Of HTTP/1.1 (RFC 9112) this knows what an object store says to a presigned GET or PUT; to any other answer the caller's
client listens.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTP_PORT, HTTPS_PORT
from urllib.parse import SplitResult, urlsplit

from radstream.objects.waiting import limit_waiting

#: An answer's head is shorter (bytes).
_HEAD_BYTES = 64 * 1024
#: Read at once until the head is whole; what is more than the head is copied (bytes).
_PIECE_BYTES = 16 * 1024
_END = b"\r\n\r\n"
#: Requests that wait for their answers on one connection (count): a store works them off one by one.
PIPELINED = 8
#: Gives a body's bytes, block by block, from its beginning at each call.
Blocks = Callable[[], Iterable[bytes | memoryview]]
#: Of a connection that the server has closed meanwhile.
_STALE = (ConnectionError, ssl.SSLError)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer's head says."""

    status: int
    size: int | None  # of the body (bytes); None where the server does not say it beforehand
    keeps: bool  # the connection, as far as the head says
    begun: bytes  # of the body: what came with the head


class _Kept:
    """A thread's connection, closed when its thread is gone."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._socket: socket.socket | None = None
        self._fresh = False  # nothing was ever answered on it

    def ask(self, request: bytes, body: Blocks = list) -> Answer:
        """Send a request, once more where the kept connection turns out to be closed; read the answer's head."""
        if self._socket is not None:
            with suppress(*_STALE):
                return _asked(self._socket, request, body())
            self.close()
        self._socket = self._connect()
        return _asked(self._socket, request, body())

    def send(self, requests: Sequence[bytes]) -> None:
        """Send requests behind each other; that the kept connection is closed is told by `statuses`. Raises OSError."""
        self._fresh = self._socket is None
        self._socket = self._socket or self._connect()
        with suppress(*_STALE):
            self._socket.sendall(b"".join(requests))

    def statuses(self, requests: Sequence[bytes]) -> list[int]:
        """Read the answers to what was sent, their bodies passed over; raises OSError.

        Where the connection ends before the last one, the rest is asked again over a new one, which must answer some.
        """
        found: list[int] = []
        while True:
            before = len(found)
            with suppress(*_STALE):
                self._read(found, len(requests))
            if len(found) == len(requests):
                return found
            self.close()
            if self._fresh and len(found) == before:
                raise ConnectionResetError(f"{len(requests) - before} of {len(requests)} puts are not answered")
            self.send(requests[len(found) :])

    def _read(self, found: list[int], count: int) -> None:
        """Add statuses until there are so many, or no more may follow."""
        came = b""
        while self._socket is not None and len(found) < count:
            answer = _next_answer(self._socket, came)
            found.append(answer.status)
            if not answer.keeps or answer.size is None:
                self.close()
                return
            self.fill(memoryview(bytearray(max(0, answer.size - len(answer.begun)))))
            came = answer.begun[answer.size :]

    def fill(self, room: memoryview) -> None:
        """Read the body on until there is no room left."""
        connection = self._socket
        flags = 0 if isinstance(connection, ssl.SSLSocket) else socket.MSG_WAITALL
        at = 0
        while connection and at < len(room) and (more := connection.recv_into(room[at:], 0, flags)):
            at += more
        if at < len(room):
            raise ConnectionResetError(f"the last {len(room) - at} bytes did not come")

    def close(self) -> None:
        """Forget what is left of an answer; the next request opens a connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __del__(self) -> None:
        self.close()


class Fetcher:
    """GETs and PUTs over kept connections, each thread's own. Both may be asked twice."""

    def __init__(self, address: SplitResult, connect_seconds: float, read_seconds: float) -> None:
        self._address = address
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._tls = ssl.create_default_context() if address.scheme == "https" else None
        self._own = threading.local()

    def get_into(self, url: str, room: memoryview) -> int | None:
        """GET a presigned address into `room` and give the body's whole size (bytes); None where that is no answer.

        Of a body that is larger only the beginning is read. Raises OSError.
        """
        with self._exchange() as (kept,):
            answer = kept.ask(_request("GET", url, "Accept-Encoding: identity"))
            if answer.status != HTTPStatus.OK or answer.size is None:
                kept.close()
                return None
            wanted = room[: answer.size]
            first = answer.begun[: len(wanted)]
            wanted[: len(first)] = first
            kept.fill(wanted[len(first) :])
            if not answer.keeps or answer.size > len(room):
                kept.close()
            return answer.size

    def put(self, url: str, body: Blocks, size_bytes: int) -> int:
        """PUT a body of so many bytes to a presigned address, and give the answer's status; raises OSError."""
        with self._exchange() as (kept,):
            answer = kept.ask(_request("PUT", url, f"Content-Length: {size_bytes}"), body)
            if not answer.keeps or answer.size != len(answer.begun):
                kept.close()
            return answer.status

    def put_all(self, puts: Sequence[tuple[str, bytes]]) -> list[int]:
        """PUT small bodies to presigned addresses, and give the answers' statuses, in order; raises OSError."""
        requests = [_request("PUT", url, f"Content-Length: {len(body)}") + body for url, body in puts]
        parts = [requests[at : at + PIPELINED] for at in range(0, len(requests), PIPELINED)]
        with self._exchange(len(parts)) as lines:
            for kept, part in zip(lines, parts, strict=True):
                kept.send(part)
            return [status for kept, part in zip(lines, parts, strict=True) for status in kept.statuses(part)]

    @contextmanager
    def _exchange(self, count: int = 1) -> Iterator[list[_Kept]]:
        """Lend this thread's connections; an exchange that broke off leaves none of them."""
        lines: list[_Kept] = self._own.__dict__.setdefault("lines", [])
        lines += [_Kept(self._connected) for _ in range(count - len(lines))]
        try:
            yield lines[:count]
        except BaseException:
            for kept in lines[:count]:
                kept.close()
            raise

    def _connected(self) -> socket.socket:
        host = self._address.hostname or ""
        port = self._address.port or (HTTPS_PORT if self._tls else HTTP_PORT)
        made = socket.create_connection((host, port), self._connect_seconds)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            made = self._tls.wrap_socket(made, server_hostname=host)
        limit_waiting(made, self._read_seconds)
        return made


def _request(method: str, url: str, field: str) -> bytes:
    """Write a request's head: the host is signed as it stands in the address."""
    address = urlsplit(url)
    return f"{method} {address.path}?{address.query} HTTP/1.1\r\nHost: {address.netloc}\r\n{field}\r\n\r\n".encode(
        "ascii"
    )


def _asked(connection: socket.socket, request: bytes, body: Iterable[bytes | memoryview]) -> Answer:
    for block in body:
        if len(block) <= _PIECE_BYTES:
            request += block  # together they are one packet
            continue
        connection.sendall(request)
        connection.sendall(block)
        request = b""
    connection.sendall(request)
    return _next_answer(connection, b"")


def _next_answer(connection: socket.socket, came: bytes) -> Answer:
    """Read an answer's head, of which some may have come behind the last one."""
    while (end := came.find(_END)) < 0:
        if len(came) > _HEAD_BYTES:
            raise ConnectionResetError(f"no end of the answer's head in {len(came)} bytes")
        if not (piece := connection.recv(_PIECE_BYTES)):
            raise ConnectionResetError(f"{len(came)} bytes of an answer's head came")
        came += piece
    return answer_of(came[:end], came[end + len(_END) :])


def answer_of(head: bytes, begun: bytes) -> Answer:
    r"""Read an answer's head, without the empty line that ends it; raises ConnectionResetError where it is none.

    >>> answer_of(b"HTTP/1.1 200 OK\r\ncontent-length: 12", b"film")
    Answer(status=200, size=12, keeps=True, begun=b'film')
    >>> answer_of(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close", b"").size is None
    True
    """
    first, *lines = head.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise ConnectionResetError(f"{first[:40]!r} is no answer in HTTP")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    length = fields.get(b"content-length", b"")
    whole = length.isdigit() and b"transfer-encoding" not in fields
    keeps = version == b"HTTP/1.1" and fields.get(b"connection", b"").lower() != b"close"
    return Answer(int(rest[:3]), int(length) if whole else None, keeps, begun)
