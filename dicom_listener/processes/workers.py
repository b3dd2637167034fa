"""The listener's worker processes: started, told, ended, and started again when they die."""

import socket
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import closing

from dicom_listener.processes.board import Board
from dicom_listener.processes.channel import Arrived, Channel, Message, Wanted
from dicom_listener.processes.forks import Child, ForkServer
from radstream.logs import get_log
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
        self.process: Child | None = None
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

    def start(self, server: ForkServer, processes: int) -> None:
        """Start the process; raise OSError when there is none to be had."""
        ours, theirs = Channel.pair()
        ours.set_blocking(False)
        with closing(theirs):
            try:
                self.process = server.fork(Wanted(self.number, self.slot, processes), theirs)
            except OSError:
                ours.close()
                raise
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
        return self.process.ended(seconds)

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
        self._board = Board.made(processes)
        self.server = ForkServer(environment, self._board)
        self._workers = [Worker(number, slot_of(slot, number)) for number in range(processes)]
        self._deaths: deque[float] = deque()

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers)

    def __len__(self) -> int:
        return len(self._workers)

    def start_due(self, now: float) -> list[Worker | ForkServer]:
        """Start what does not run and whose pause is over, the fork server first; give it. Raises WorkersDie."""
        if not self.server.running and self.server.start_at <= now:
            self.server.start()
            return [self.server]
        started: list[Worker | ForkServer] = []
        for worker in self._workers:
            if self.server.ready and worker.process is None and worker.start_at <= now:
                try:
                    worker.start(self.server, len(self._workers))
                except OSError as error:
                    get_log().error("worker not started", worker=worker.number, exc_info=error)
                    worker.start_at = self._died(now, "none")
                else:
                    started.append(worker)
        return started

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
        worker.start_at = self._died(now, status)
        return status

    def bury_server(self, now: float) -> tuple[int, int]:
        """Note the end of the fork server; give its process id and exit status. Raises WorkersDie when too many."""
        pid, status = self.server.end()
        self.server.start_at = self._died(now, status)
        return pid, status

    def terminate(self) -> list[Worker]:
        """Ask those that run to end; give them."""
        running = [worker for worker in self._workers if worker.process is not None]
        for worker in running:
            assert worker.process is not None  # noqa: S101 - just looked
            worker.process.terminate()
        return running

    def _died(self, now: float, status: int | str) -> float:
        """Note a death; give the time of the next start."""
        self._deaths.append(now)
        while self._deaths and self._deaths[0] < now - _DEATHS_SECONDS:
            self._deaths.popleft()
        if len(self._deaths) >= _DEATHS:
            raise WorkersDie(
                f"{len(self._deaths)} workers ended within {_DEATHS_SECONDS:.0f} s, the last with {status}; see the log"
            )
        pause: float = _FIRST_PAUSE_SECONDS * 2 ** (len(self._deaths) - 1)
        return now + min(pause, _LONGEST_PAUSE_SECONDS)


def slot_of(slot: str, number: int) -> str:
    """Name the slot of a worker: stable, so that its spool and its transactional.id are.

    >>> slot_of("0", 0), slot_of("0", 1)
    ('0', '0-1')
    """
    return f"{slot}-{number}" if number else slot
