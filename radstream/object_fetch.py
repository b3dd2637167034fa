"""An object's body straight into the caller's memory, in one call to the system.

Read piece by piece, a film of 10 MB takes some hundred calls, and after each the thread waits for the interpreter's
lock, behind whoever works: under load an image waited 27 ms for a fetch that takes 3.
"""

import http.client
import socket
import ssl
import threading
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import SplitResult

from radstream.waiting import limit_waiting

#: What http.client may hold back of a body when it has read the head: its buffer (bytes).
_BUFFER_BYTES = 64 * 1024
#: Of a connection that the server has closed meanwhile.
_STALE = (http.client.RemoteDisconnected, http.client.CannotSendRequest, ConnectionError)


class _Kept:
    """A thread's connection, closed when its thread is gone."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()


class Fetcher:
    """GETs, and PUTs of what is small, over one kept connection a thread. Both may be asked twice."""

    def __init__(self, address: SplitResult, connect_seconds: float, read_seconds: float) -> None:
        self._address = address
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._own = threading.local()

    def get_into(self, path: str, room: memoryview) -> int | None:
        """GET a path into `room` and give the body's whole size (bytes); None where the answer is not 200.

        Of a body that is larger only the beginning is read. Raises OSError and http.client.HTTPException.
        """
        connection = self._connection()
        try:
            answer = self._asked(connection, path)
            size = self._read(connection, answer, room) if answer.status == HTTPStatus.OK else None
        except BaseException:
            connection.close()
            raise
        if size is None or size > len(room) or answer.will_close:
            connection.close()  # what is left of the answer is of no use to anybody
        answer.close()
        return size

    def put(self, path: str, body: bytes) -> int:
        """PUT a small body, and give the answer's status; raises OSError and http.client.HTTPException."""
        connection = self._connection()
        try:
            answer = self._asked(connection, path, body)
            answer.read()
        except BaseException:
            connection.close()
            raise
        return answer.status

    def _connection(self) -> http.client.HTTPConnection:
        kept: _Kept | None = getattr(self._own, "kept", None)
        if kept is None:
            kind = http.client.HTTPSConnection if self._address.scheme == "https" else http.client.HTTPConnection
            kept = self._own.kept = _Kept(kind(self._address.netloc, timeout=self._connect_seconds))
        return kept.connection

    def _asked(
        self, connection: http.client.HTTPConnection, path: str, body: bytes | None = None
    ) -> http.client.HTTPResponse:
        """Send the request, once more where the kept connection turns out to be closed."""
        if connection.sock is not None:
            with suppress(*_STALE):
                return _sent(connection, path, body)
            connection.close()
        connection.connect()
        limit_waiting(connection.sock, self._read_seconds)
        return _sent(connection, path, body)

    def _read(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse, room: memoryview) -> int:
        size = int(answer.headers["Content-Length"])
        room = room[:size]
        taken = connection.sock
        if taken is None or isinstance(taken, ssl.SSLSocket):
            at = 0
            while at < len(room) and (more := answer.readinto(room[at:])):
                at += more
        else:
            first = answer.read1(min(_BUFFER_BYTES, len(room)))  # empties the buffer: what follows is in the socket
            room[: len(first)] = first
            at = len(first)
            while at < len(room) and (more := taken.recv_into(room[at:], 0, socket.MSG_WAITALL)):
                at += more
        if at < len(room):
            raise ConnectionResetError(f"{at} of {size} bytes came")
        return size


def _sent(connection: http.client.HTTPConnection, path: str, body: bytes | None) -> http.client.HTTPResponse:
    connection.request("GET" if body is None else "PUT", path, body, {"Accept-Encoding": "identity"})
    return connection.getresponse()
