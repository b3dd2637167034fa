"""What stands between pynetdicom's threads and the socket: one fixed buffer, and a pause while objects are read."""

import select
import socket
import ssl
import threading
from typing import TYPE_CHECKING

from pynetdicom.transport import AssociationSocket

if TYPE_CHECKING:
    from pynetdicom.association import Association

BUFFER_BYTES = 128 * 1024
#: How long an idle association sleeps in one poll: answers of pynetdicom's own wait at most this.
_IDLE_MILLISECONDS = 10


class BufferedSocket(AssociationSocket):
    """pynetdicom's socket with one fixed buffer in front."""

    def __init__(self, assoc: "Association", client_socket: socket.socket) -> None:
        super().__init__(assoc, client_socket=client_socket)
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._start = self._end = 0
        self._poll = select.poll()
        self._poll.register(client_socket, select.POLLIN)

    @property
    def ready(self) -> bool:
        """Whether bytes can be read; waits a moment, so that an idle association costs little."""
        if self._start < self._end:
            return True
        if self.socket is None or not self._is_connected:
            return False
        if isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
            return True
        try:
            found = self._poll.poll(_IDLE_MILLISECONDS)
        except OSError:
            found = [(-1, select.POLLNVAL)]
        if found and found[0][1] & select.POLLNVAL:
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
            if self.socket is None:
                raise ConnectionError("the socket is closed")
            self._start, self._end = 0, self.socket.recv_into(self._buffer)
            if not self._end:
                raise ConnectionError("the peer closed the connection")
        stop = min(self._end, self._start + most)
        view = self._buffer[self._start : stop]
        self._start = stop
        return view

    def answer(self, data: bytes) -> None:
        """Send all of a PDU of our own; raise OSError.

        The kernel delays its ACKs after we have sent something, and a sender with Nagle's algorithm on (DCMTK's as
        Debian ships it) waits for one between its next command's two writes: 40 ms an image, were it not asked for.
        """
        if self.socket is None:
            raise ConnectionError("the socket is closed")
        self.socket.sendall(data)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class Pause(threading.Event):
    """What pynetdicom's association thread waits at each round: it also waits while we read objects.

    Its loop looks at its queues a thousand times a second; while a C-STORE is in hand they hold nothing for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set()
        self.calm = threading.Event()
        self.calm.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nobody pauses the association, pynetdicom or we."""
        while not (self.calm.is_set() and self.is_set()):
            self.calm.wait(timeout)
            super().wait(timeout)
            if timeout is not None:
                break
        return self.is_set()
