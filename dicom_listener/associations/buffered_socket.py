"""What stands between pynetdicom's threads and the socket: one fixed buffer."""

import select
import socket
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pynetdicom.transport import AssociationSocket

from dicom_listener.associations.idling import LOOK_SECONDS, Bell, Poll

if TYPE_CHECKING:
    from pynetdicom.association import Association

#: Memory that is touched as far as bytes are read ahead (bytes).
BUFFER_BYTES = 1024 * 1024
#: What is read ahead of a command: what it does not need of it is copied once more (bytes).
AHEAD_BYTES = 4096
#: How many more PDUs are read at once with one (count), and the longest header of each (bytes).
_MOST_BEHIND, _HEAD_BYTES = 64, 12
#: How long we wait for the next object before the association's thread may look at its queues (seconds).
_NEXT_OBJECT_SECONDS = 0.01


class BufferedSocket(AssociationSocket):
    """pynetdicom's socket with one fixed buffer in front."""

    def __init__(self, assoc: "Association", client_socket: socket.socket, bell: Bell) -> None:
        super().__init__(assoc, client_socket=client_socket)
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._start = self._end = 0
        self._poll = Poll(client_socket.fileno(), bell)
        self._heads = memoryview(bytearray(_MOST_BEHIND * _HEAD_BYTES))
        self.ahead = AHEAD_BYTES  # how much is read into the buffer at most: what stands there is copied once more
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

    def fill_run(self, room: memoryview, size: int, head: bytes) -> int:
        """Read `size` bytes into the room as `fill`, and what stands behind `head` again and again as far as it came.

        `head` is what stood before them: a run of PDUs with the very same header is read at once, each header apart
        and the rest into the room without a gap. Gives the count of bytes in the room. Raises ConnectionError.
        """
        step = size + len(head)
        most = min((len(room) - size) // size, (BUFFER_BYTES - size) // step, _MOST_BEHIND)
        if most < 1 or self._start < self._end or not self._whole or self.socket is None:
            self.fill(room[:size])
            return size
        heads = [self._heads[at : at + len(head)] for at in range(0, most * len(head), len(head))]
        parts = [room[:size]]
        for number, one in enumerate(heads, 1):
            parts += (one, room[number * size : (number + 1) * size])
        came = self.socket.recvmsg_into(parts)[0]
        if came < size:
            self.fill(room[came:size])
            return size
        filled, came = size, came - size
        for number, one in enumerate(heads):
            if came < len(head) or one != head:
                self._keep(parts[2 * number + 1 :], came)
                return filled
            came -= len(head)
            if came < size:
                self.fill(room[filled + came : filled + size])
                return filled + size
            filled, came = filled + size, came - size
        return filled

    def _keep(self, parts: Sequence[memoryview], count: int) -> None:
        """Put bytes that were read too far where they are read next."""
        self._start = self._end = 0
        for part in parts:
            if self._end < count:
                more = min(len(part), count - self._end)
                self._buffer[self._end : self._end + more] = part[:more]
                self._end += more

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
