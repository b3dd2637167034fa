"""Where decoders come from: a process that has loaded their libraries once, and forks each of them off.

Loading takes a second of processor; by a fork a decoder is there in some milliseconds, shares what was loaded with the
others, and one that died is replaced before the next image waits.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

from radstream.logs import get_log
from radstream.objects.waiting import limit_waiting
from radstream.settings import process_environment

_START_SECONDS = 60.0
_STOP_SECONDS = 2.0
#: A process id in decimal (bytes).
_ANSWER_BYTES = 32
#: Each decoder is one thread of work: the pool is the parallelism. A process of several threads must not fork, either.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}


class Child:
    """A process that is no child of ours, held by a descriptor: an id alone may be another's by now (pidfd_open(2))."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self._descriptor = descriptor
        self._ends = select.poll()
        self._ends.register(descriptor, select.POLLIN)

    @property
    def ended(self) -> bool:
        """Whether it has."""
        return bool(self._ends.poll(0))

    def kill(self) -> None:
        """End it, whatever it does, and wait for that."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
        self._ends.poll(1000 * _STOP_SECONDS)

    def __del__(self) -> None:
        os.close(self._descriptor)


class Nursery:
    """The process, started by the constructor and started again when it is gone. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._start()

    def born(self, descriptors: Sequence[int]) -> Child:
        """Give a decoder that has inherited these three: its link, its input and its output.

        Waits until the libraries are loaded; raises OSError where the system allows no process more.
        """
        with self._lock:
            try:
                return self._asked(descriptors)
            except OSError:
                get_log().warning("nursery of decoders replaced", worker=self._process.pid)
                self._end()
                self._start()
                return self._asked(descriptors)

    def close(self) -> None:
        """End the process; decoders that it bore live until they lose their owner."""
        with self._lock:
            self._end()

    def _start(self) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        limit_waiting(self._link, _START_SECONDS)
        with theirs:
            # Exec'd, for it must have no other thread: a fork of this process would copy Kafka's in an unknown state.
            self._process = subprocess.Popen(  # noqa: S603 - our own module, by the interpreter that runs us
                [sys.executable, "-m", "consumers.decoding.process", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=process_environment() | _ONE_THREAD,
                stdin=subprocess.DEVNULL,
            )

    def _asked(self, descriptors: Sequence[int]) -> Child:
        socket.send_fds(self._link, [b"decoder"], descriptors)
        told, found, *_ = socket.recv_fds(self._link, _ANSWER_BYTES, 1)
        if len(found) != 1:
            raise ConnectionResetError(f"no decoder came: {told!r}")
        os.set_inheritable(found[0], False)
        return Child(int(told), found[0])

    def _end(self) -> None:
        self._link.close()
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
