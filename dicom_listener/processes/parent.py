"""The listener's parent: binds, accepts, counts, hands connections to its workers, and starts dead ones again.

It reads nothing that a peer sends and imports no DICOM and no Kafka, so there is little in it that can die.
"""

import selectors
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from dicom_listener.processes.channel import Answered, Arrived, Asked, Dropped, Message, Over, Waiting
from dicom_listener.processes.forks import ForkServer
from dicom_listener.processes.limits import Slots
from dicom_listener.processes.parent_metrics import REFUSED_CONNECTIONS, RESTARTS
from dicom_listener.processes.workers import Worker, Workers
from radstream.logs import get_log
from radstream.service import EXIT_FAILED, Health, Stop

#: Connections that have asked for nothing yet; over this the oldest yields.
MOST_WAITING = 512
_ROUND_SECONDS = 0.2
#: Workers answer what is in hand within this after SIGTERM; then they are killed.
ENDING_SECONDS = 9.3


class Parent:
    """One thread: the arbiter of every limit."""

    def __init__(
        self,
        doors: Sequence[tuple[socket.socket, bool]],
        workers: Workers,
        slots: Slots,
        buried: Callable[[int], None],
    ) -> None:
        """`doors`: listening sockets, and whether TLS is spoken there; `buried` gets the id of a dead process."""
        self._buried = buried
        self._doors = doors
        self._workers = workers
        self._slots = slots
        self._networks: tuple[IPv4Network | IPv6Network, ...] = ()
        self._selector = selectors.DefaultSelector()
        self._next = 0
        self._waiting: dict[int, Worker] = {}
        self._accepting = False
        self._answers: Mapping[type[Message], Callable[[Worker, Message], None]] = {
            Asked: self._asked,
            Over: self._over,
            Waiting: self._told,
        }

    def limit(self, networks: tuple[str, ...]) -> None:
        """Let in only these networks (none: all)."""
        self._networks = tuple(ip_network(one) for one in networks)

    def run(self, health: Health, stop: Stop) -> int | None:
        """Run until asked to stop; give 1 when a worker ended for good. Raises WorkersDie.

        On the request to stop: accept nothing more, let the workers answer what is in hand.
        """
        failed = False
        try:
            while not stop.requested and not failed:
                failed = self._round(health)
        finally:
            health.not_ready("stopping")
            for door, _ in self._doors:
                if self._accepting:
                    self._selector.unregister(door)
                door.close()
            self._end()
        return EXIT_FAILED if failed else None

    def _round(self, health: Health) -> bool:
        for started in self._workers.start_due(time.monotonic()):
            self._selector.register(started.channel, selectors.EVENT_READ, started)
        self._accept_when_somebody_takes()
        for key, _ in self._selector.select(_ROUND_SECONDS):
            if isinstance(key.data, Worker):
                if not self._hear(key.data) and self._bury(key.data):
                    return True
            elif isinstance(key.data, ForkServer):
                if not key.data.hear() and self._bury_server(key.data):
                    return True
            else:
                self._accept(*key.data)
        self._workers.flush()
        self._report(health)
        return False

    def _end(self) -> None:
        """Have the workers end; hear them meanwhile, so that none waits for us; kill those that don't in time."""
        if self._workers.server.running:
            self._selector.unregister(self._workers.server.channel)
            self._workers.server.end()
        running = self._workers.terminate()
        talking = len(running)
        deadline = time.monotonic() + ENDING_SECONDS
        while talking and time.monotonic() < deadline:
            for key, _ in self._selector.select(_ROUND_SECONDS):
                if isinstance(key.data, Worker) and not self._hear(key.data):
                    self._selector.unregister(key.fileobj)
                    talking -= 1
        for worker in running:
            worker.ended(max(0.0, deadline - time.monotonic()))
            worker.close()

    def _accept_when_somebody_takes(self) -> None:
        """Leave connections in the backlog while no worker takes any."""
        taking = any(worker.takes for worker in self._workers)
        if taking != self._accepting:
            for door, tls in self._doors:
                if taking:
                    self._selector.register(door, selectors.EVENT_READ, (door, tls))
                else:
                    self._selector.unregister(door)
            self._accepting = taking

    def _accept(self, door: socket.socket, tls: bool) -> None:  # noqa: FBT001 - what a selector's key holds
        try:
            client, address = door.accept()
        except OSError:  # the peer has gone already, or descriptors are short
            return
        with client:
            host = str(address[0])
            if not self._may_connect(host):
                REFUSED_CONNECTIONS.labels("address").inc()
                get_log().info("connection refused", peer=host, cause="address")
                return
            if len(self._waiting) >= MOST_WAITING:
                self._crowd_out()
            self._next += 1
            arrival = Arrived(self._next, host, int(address[1]), tls)
            for worker in self._workers.least_loaded():
                if worker.hand(arrival, client):
                    self._waiting[arrival.connection] = worker
                    return
            REFUSED_CONNECTIONS.labels("congestion").inc()
            get_log().warning("connection refused", peer=host, cause="congestion")

    def _may_connect(self, host: str) -> bool:
        address = ip_address(host.partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None) or address
        return not self._networks or any(mapped in one for one in self._networks)

    def _crowd_out(self) -> None:
        oldest = next(iter(self._waiting))
        self._waiting.pop(oldest).tell(Dropped(oldest))

    def _hear(self, worker: Worker) -> bool:
        """Take one message of a worker; say whether it lives."""
        try:
            message = worker.receive()
        except OSError:
            return False
        if message is None:
            return False
        self._answers[type(message)](worker, message)
        return True

    def _asked(self, worker: Worker, message: Message) -> None:
        assert isinstance(message, Asked)  # noqa: S101 - for the type checker
        self._waiting.pop(message.connection, None)
        refusal = self._slots.ask(message.connection, message.calling_ae, verification_only=message.verification_only)
        worker.tell(Answered(message.connection, refusal.cause if refusal else None))

    def _over(self, worker: Worker, message: Message) -> None:
        assert isinstance(message, Over)  # noqa: S101 - for the type checker
        worker.connections.discard(message.connection)
        self._forget(message.connection)

    def _told(self, worker: Worker, message: Message) -> None:
        assert isinstance(message, Waiting)  # noqa: S101 - for the type checker
        worker.parts = message.parts

    def _forget(self, connection: int) -> None:
        self._waiting.pop(connection, None)
        self._slots.over(connection)

    def _bury(self, worker: Worker) -> bool:
        """Take back what a dead worker held; say whether the service must end with it."""
        self._selector.unregister(worker.channel)
        held, worker.connections = worker.connections, set()
        pid = worker.process.pid if worker.process else 0
        status = self._workers.bury(worker, time.monotonic())
        for connection in held:
            self._forget(connection)
        self._buried(pid)
        RESTARTS.inc()
        get_log().error("worker ended", worker=worker.number, slot=worker.slot, status=status)
        return status == EXIT_FAILED  # it has said why: a setting, or another process in its place

    def _bury_server(self, server: ForkServer) -> bool:
        """Have the fork server started again, of which no worker takes notice; say whether the service must end."""
        self._selector.unregister(server.channel)
        pid, status = self._workers.bury_server(time.monotonic())
        self._buried(pid)
        get_log().error("fork server ended", status=status)
        return status == EXIT_FAILED

    def _report(self, health: Health) -> None:
        reasons = {}
        for worker in self._workers:
            for part, why in worker.parts.items():
                reasons[part if len(self._workers) == 1 else f"{part} ({worker.slot})"] = why
        for part, why in reasons.items():
            health.not_ready(why, part)
        for part in set(health.waiting) - set(reasons):
            health.ready(part)


def bound(address: str, port: int) -> socket.socket:
    """Listen on a port; raise OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    door = socket.create_server((address, port), family=family, backlog=256)
    with suppress(OSError):
        door.setblocking(False)
    return door
