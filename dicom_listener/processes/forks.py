"""The parent's side of the fork server: workers are asked for here, and are our own children from then on."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress

from dicom_listener.processes.board import Board
from dicom_listener.processes.channel import Born, Channel, Wanted
from dicom_listener.processes.kinship import inherit_orphans

#: How long the fork server may take for one worker (seconds): longer, and it is taken for dead.
_BIRTH_SECONDS = 10.0
_KILLED_SECONDS = 5.0
#: OpenBLAS starts a thread for each core when NumPy is imported, which would not survive a fork; no worker needs it.
_NO_THREADS = {"OPENBLAS_NUM_THREADS": "1"}


class Child:
    """A process that is our child, though another forked it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def terminate(self) -> None:
        """Ask it to end."""
        os.kill(self.pid, signal.SIGTERM)

    def ended(self, seconds: float) -> int:
        """Wait for its end, kill it after the time; give the exit status (negative: the signal). Once only."""
        end = os.pidfd_open(self.pid)
        try:
            if not select.select([end], [], [], seconds)[0]:
                os.kill(self.pid, signal.SIGKILL)
        finally:
            os.close(end)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class ForkServer:
    """The process that workers are forked from; started again when it dies, which no worker notices."""

    def __init__(self, environment: Mapping[str, str], board: Board) -> None:
        inherit_orphans()
        self._environment = {**environment, **_NO_THREADS}
        self._board = board
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self.ready = False
        self.start_at = 0.0

    @property
    def channel(self) -> Channel:
        """The parent's end of the channel."""
        assert self._channel is not None, "the fork server was not started"  # noqa: S101 - a fault of ours
        return self._channel

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, "the fork server was not started"  # noqa: S101 - a fault of ours
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and nobody has seen its end."""
        return self._process is not None

    def start(self) -> None:
        """Start the process; it is ready when it has said so."""
        ours, theirs = Channel.pair()
        numbers = (theirs.fileno(), self._board.fileno())
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "dicom_listener.fork_server", *map(str, numbers)],
            env=self._environment,
            pass_fds=numbers,
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        ours.limit(_BIRTH_SECONDS)
        self._channel = ours

    def hear(self) -> bool:
        """Take what it says of itself: that it is ready; say whether it lives."""
        with suppress(OSError):
            if self.channel.receive() is not None:
                self.ready = True
                return True
        return False

    def fork(self, wanted: Wanted, channel: Channel) -> Child:
        """Give a new worker, to which this end of a channel goes; raise OSError when there is none."""
        try:
            self.channel.send(wanted, channel.fileno())
            received = self.channel.receive()
        except TimeoutError:
            self._kill()  # its end will be seen
            raise
        born = received[0] if received else None
        if not isinstance(born, Born) or born.pid is None:
            raise ChildProcessError("the fork server gave no worker")
        return Child(born.pid)

    def end(self) -> tuple[int, int]:
        """Kill the process if it lives; give its id and its exit status (negative: the signal)."""
        process = self._kill()
        self.channel.close()
        self._channel, self._process, self.ready = None, None, False
        return process.pid, process.wait(_KILLED_SECONDS)

    def _kill(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "the fork server was not started"  # noqa: S101 - a fault of ours
        self._process.kill()
        return self._process
