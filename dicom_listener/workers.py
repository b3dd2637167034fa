"""The listener's worker processes: started, told, ended, and started again when they die."""

import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping

from dicom_listener.board import Board
from dicom_listener.channel import Arrived, Channel, Message
from schemas.errors import WorkersDie

#: Of workers that die again and again: this many within that time end the service.
_DEATHS = 8
_DEATHS_SECONDS = 60.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 5.0
_KILLED_SECONDS = 5.0


class Worker:
    """One worker and what it holds."""

    def __init__(self, number: int, slot: str) -> None:
        self.number = number
        self.slot = slot
        self.connections: set[int] = set()
        self.parts: dict[str, str] = {"service": "starting"}
        self.process: subprocess.Popen[bytes] | None = None
        self.start_at: float = 0.0
        self._channel: Channel | None = None
        self._unsent: deque[Message] = deque()

    @property
    def channel(self) -> Channel:
        """The parent's end of the channel."""
        assert self._channel is not None, "the worker was not started"  # noqa: S101 - a fault of ours
        return self._channel

    @property
    def takes(self) -> bool:
        """Whether it takes connections: it may wait for servers, images go to the spool meanwhile."""
        return self.process is not None and "service" not in self.parts

    def start(self, environment: Mapping[str, str], processes: int, board: Board) -> None:
        """Start the process."""
        ours, theirs = Channel.pair()
        ours.set_blocking(False)
        number = theirs.fileno()
        numbers = (number, self.number, processes, board.fileno())
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "dicom_listener.worker", *map(str, numbers)],
            env={**environment, "RADSTREAM_LISTENER_SLOT": self.slot},
            pass_fds=(number, board.fileno()),
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self._channel = ours
        self._unsent.clear()

    def hand(self, arrival: Arrived, client: socket.socket) -> bool:
        """Hand a connection over; say whether the worker could take it."""
        if self._unsent:
            return False
        try:
            self.channel.send(arrival, client.fileno())
        except OSError:
            return False
        self.connections.add(arrival.connection)
        return True

    def tell(self, message: Message) -> None:
        """Send a message, now or when the worker has read what was sent before."""
        self._unsent.append(message)
        self.flush()

    def flush(self) -> None:
        """Send what waits."""
        while self._unsent and self._channel is not None:
            try:
                self._channel.send(self._unsent[0])
            except BlockingIOError:
                return
            except OSError:  # it has died: its end will be seen
                self._unsent.clear()
                return
            self._unsent.popleft()

    def receive(self) -> Message | None:
        """Receive a message; None at its end."""
        received = self.channel.receive()
        return received[0] if received else None

    def ended(self, seconds: float) -> int:
        """Wait for the end, kill after the time; give the exit status (negative: the signal)."""
        assert self.process is not None  # noqa: S101 - a fault of ours
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(_KILLED_SECONDS)

    def close(self) -> None:
        """Forget the process."""
        self.channel.close()
        self._channel = None
        self._unsent.clear()
        self.process = None
        self.parts = {"service": "starting"}


class Workers:
    """All of them."""

    def __init__(self, slot: str, processes: int, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._board = Board.made(processes)
        self._workers = [Worker(number, slot_of(slot, number)) for number in range(processes)]
        self._deaths: deque[float] = deque()

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers)

    def __len__(self) -> int:
        return len(self._workers)

    def start_due(self, now: float) -> list[Worker]:
        """Start those that don't run and whose pause is over; give them."""
        due = [worker for worker in self._workers if worker.process is None and worker.start_at <= now]
        for worker in due:
            worker.start(self._environment, len(self._workers), self._board)
        return due

    def least_loaded(self) -> list[Worker]:
        """Give those that take connections, the one with the fewest first."""
        return sorted((one for one in self._workers if one.takes), key=lambda one: len(one.connections))

    def flush(self) -> None:
        """Send what waits for workers that were busy."""
        for worker in self._workers:
            worker.flush()

    def bury(self, worker: Worker, now: float) -> int:
        """Note a death and when the worker starts again; give its exit status. Raises WorkersDie when too many."""
        status = worker.ended(_KILLED_SECONDS)
        worker.close()
        self._board.forget(worker.number)
        self._deaths.append(now)
        while self._deaths and self._deaths[0] < now - _DEATHS_SECONDS:
            self._deaths.popleft()
        if len(self._deaths) >= _DEATHS:
            raise WorkersDie(
                f"{len(self._deaths)} workers ended within {_DEATHS_SECONDS:.0f} s, the last with {status}; see the log"
            )
        pause = _FIRST_PAUSE_SECONDS * 2 ** (len(self._deaths) - 1)
        worker.start_at = now + min(pause, _LONGEST_PAUSE_SECONDS)
        return status

    def terminate(self) -> list[Worker]:
        """Ask those that run to end; give them."""
        running = [worker for worker in self._workers if worker.process is not None]
        for worker in running:
            assert worker.process is not None  # noqa: S101 - just looked
            worker.process.terminate()
        return running


def slot_of(slot: str, number: int) -> str:
    """Name the slot of a worker: stable, so that its spool and its transactional.id are.

    >>> slot_of("0", 0), slot_of("0", 1)
    ('0', '0-1')
    """
    return f"{slot}-{number}" if number else slot
