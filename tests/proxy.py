"""A wire that tests can cut: a TCP proxy on loopback."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Wire:
    """Forwards connections to a local port; `cut` breaks those that stand and refuses new ones until `mend`."""

    def __init__(self, target_port: int, *, record: bool = False) -> None:
        self._target = target_port
        self._record = record
        self.recordings: list[bytearray] = []  # of each connection, what its client sent
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._whole = threading.Event()
        self._whole.set()
        self._lock = threading.Lock()
        self._ends: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self._whole.clear()
        with self._lock:
            for one in self._ends:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Forward again."""
        self._whole.set()

    def close(self) -> None:
        """End it all."""
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            if not self._whole.is_set():
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            with self._lock:
                self._ends |= {near, far}
            self.recordings.append(bytearray())
            for source, sink, heard in ((near, far, self.recordings[-1]), (far, near, bytearray())):
                threading.Thread(target=self._pump, args=(source, sink, heard), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, heard: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self._record:
                    heard += data
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._ends.discard(source)
        source.close()


@contextmanager
def wire_to(port: int, *, record: bool = False) -> Iterator[Wire]:
    """Lay a wire to a local port, and take it away."""
    wire = Wire(port, record=record)
    try:
        yield wire
    finally:
        wire.close()
