"""What stands between pynetdicom's threads and the socket: one fixed buffer."""

import select
import socket
import ssl
from typing import TYPE_CHECKING

from pynetdicom.transport import AssociationSocket

from dicom_listener.idling import LOOK_SECONDS, Bell, Poll

if TYPE_CHECKING:
    from pynetdicom.association import Association

BUFFER_BYTES = 128 * 1024
#: How long we wait for the next object before the association's thread may look at its queues (seconds).
_NEXT_OBJECT_SECONDS = 0.01


class BufferedSocket(AssociationSocket):
    """pynetdicom's socket with one fixed buffer in front."""

    def __init__(self, assoc: "Association", client_socket: socket.socket, bell: Bell) -> None:
        super().__init__(assoc, client_socket=client_socket)
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._start = self._end = 0
        self._poll = Poll(client_socket.fileno(), bell)
        self.ahead = BUFFER_BYTES  # how much is read into the buffer at most: what stands there is copied once more
        self._whole = 0 if isinstance(client_socket, ssl.SSLSocket) else socket.MSG_WAITALL

    @property
    def ready(self) -> bool:
        """Whether bytes can be read; waits for them or the bell, so that an idle association costs little."""
        return self._wait(LOOK_SECONDS if self.event_queue.empty() else 0.0)

    @property
    def goes_on(self) -> bool:
        """Whether the peer sends its next object at once."""
        return self._wait(_NEXT_OBJECT_SECONDS)

    def _wait(self, seconds: float) -> bool:
        if self._start < self._end:
            return True
        if self.socket is None or not self._is_connected:
            return False
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        try:
            found = self._poll.wait(seconds)
        except OSError:
            found = select.POLLNVAL
        if found & select.POLLNVAL:
            self.event_queue.put("Evt17")
            return False
        return bool(found)

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly `nr_bytes`; the caller has checked the number. Raises ConnectionError at the end."""
        data = bytearray()
        while len(data) < nr_bytes:
            data += self.take(nr_bytes - len(data))
        return data

    def take(self, most: int) -> memoryview:
        """Give 1 to `most` bytes, in place: they are overwritten by the next call. Raises ConnectionError."""
        if self._start == self._end:
            self._start, self._end = 0, 0
            self._end = self._read(self._buffer[: self.ahead], 0)
        stop = min(self._end, self._start + most)
        view = self._buffer[self._start : stop]
        self._start = stop
        return view

    def peek(self, count: int, first: int) -> memoryview | None:
        """Give the next bytes and leave them there; None when they don't begin with `first`. Raises ConnectionError."""
        if self._end - self._start < count:
            self._buffer[: self._end - self._start] = self._buffer[self._start : self._end]
            self._start, self._end = 0, self._end - self._start
            while self._end < count:
                if self._end and self._buffer[0] != first:
                    return None
                self._end += self._read(self._buffer[self._end : count], 0)
        found = self._buffer[self._start : self._start + count]
        return found if found[0] == first else None

    def skip(self, count: int) -> None:
        """Pass by bytes that `peek` has given."""
        self._start += count

    def fill(self, room: memoryview) -> None:
        """Read straight into the caller's memory until it is full. Raises ConnectionError at the end."""
        at = min(self._end - self._start, len(room))
        if at:
            room[:at] = self.take(at)
        while at < len(room):
            at += self._read(room[at:] if at else room, self._whole)

    def answer(self, data: bytes) -> None:
        """Send all of a PDU of our own; raise OSError.

        The kernel delays its ACKs after we have sent something, and a sender with Nagle's algorithm on (DCMTK's as
        Debian ships it) waits for one between its next command's two writes: 40 ms an image, were it not asked for.
        """
        if self.socket is None:
            raise ConnectionError("the socket is closed")
        self.socket.sendall(data)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _read(self, room: memoryview, flags: int) -> int:
        if self.socket is None:
            raise ConnectionError("the socket is closed")
        count = self.socket.recv_into(room, 0, flags)
        if not count:
            raise ConnectionError("the peer closed the connection")
        return count
