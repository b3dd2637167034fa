"""The worker's end of the channel: it is told of connections, asks the parent's arbiter, and ends with the parent."""

import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Protocol

from dicom_listener.processes.channel import Answered, Arrived, Asked, Channel, Dropped, Over, Waiting
from dicom_listener.standard.refusals import BY_CAUSE, CONGESTION, STOPPING, Refusal
from radstream.service import Health, Stop

#: How long an association waits for the arbiter.
ANSWER_SECONDS = 5.0


class Arbiter(Protocol):
    """Whoever counts associations."""

    def ask(self, connection: int, calling_ae: str, *, verification_only: bool) -> Refusal | None:
        """Take a slot for an association, or say why there is none."""

    def over(self, connection: int) -> None:
        """Give a connection back."""


class Link:
    """One worker's channel to the parent. Thread-safe."""

    def __init__(self, channel: Channel, stop: Stop) -> None:
        self._channel = channel
        self._stop = stop
        self._answers: dict[int, Refusal | None] = {}
        self._guard = threading.Condition()

    def listen(self, arrived: Callable[[Arrived, socket.socket], None], dropped: Callable[[int], None]) -> None:
        """Take the parent's messages, in a thread of their own."""

        def hear() -> None:
            while (received := self._channel.receive()) is not None:
                message, descriptor = received
                if isinstance(message, Arrived) and descriptor is not None:
                    arrived(message, socket.socket(fileno=descriptor))
                elif isinstance(message, Answered):
                    self._answer(message)
                elif isinstance(message, Dropped):
                    dropped(message.connection)
            os.kill(os.getpid(), signal.SIGKILL)  # the parent is gone, and so are its limits

        threading.Thread(target=hear, name="link", daemon=True).start()

    def ask(self, connection: int, calling_ae: str, *, verification_only: bool) -> Refusal | None:
        """Ask the parent for a slot; a parent that does not answer is congestion."""
        if self._stop.requested:
            return STOPPING
        self._channel.send(Asked(connection, calling_ae, verification_only))
        with self._guard:
            if not self._guard.wait_for(lambda: connection in self._answers, ANSWER_SECONDS):
                return CONGESTION
            return self._answers.pop(connection)

    def over(self, connection: int) -> None:
        """Tell that a connection is closed."""
        self._channel.send(Over(connection))
        with self._guard:
            self._answers.pop(connection, None)

    def waiting(self, parts: dict[str, str]) -> None:
        """Tell which parts are not ready."""
        self._channel.send(Waiting(parts))

    def _answer(self, message: Answered) -> None:
        with self._guard:
            self._answers[message.connection] = BY_CAUSE[message.cause] if message.cause else None
            self._guard.notify_all()


class Told(Protocol):
    """Whoever is told which parts are not ready."""

    def waiting(self, parts: dict[str, str]) -> None:
        """Take all of them: what was told before does not count."""


class ToldHealth(Health):
    """A worker's health: the parent is told of each change, in their order, and answers the probes."""

    def __init__(self, link: Told) -> None:
        super().__init__()
        self._link = link
        self._telling = threading.Lock()

    def ready(self, part: str = "service") -> None:
        """Say that a part is ready."""
        with self._telling:
            super().ready(part)
            self._link.waiting(dict(self.waiting))

    def not_ready(self, why: str, part: str = "service") -> None:
        """Say that a part is not ready, and why."""
        with self._telling:
            super().not_ready(why, part)
            self._link.waiting(dict(self.waiting))
