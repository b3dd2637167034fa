"""What parent and workers tell each other: whole messages over a Unix socket pair, a descriptor with some.

The parent tells of Arrived, Answered and Dropped; a worker of Waiting, Asked and Over. The parent tells the fork server
that a worker is Wanted, and hears that it was Born.
"""

import json
import socket
from dataclasses import asdict, dataclass

_LARGEST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Arrived:
    """A connection, whose descriptor comes with the message."""

    connection: int
    host: str
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """The arbiter's answer: the cause of a refusal (dicom_listener.standard.refusals), None for yes."""

    connection: int
    cause: str | None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A connection that has asked for nothing yet must yield to others."""

    connection: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The parts of a worker that are not ready, each with its reason; none: it takes connections."""

    parts: dict[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A peer asks for an association."""

    connection: int
    calling_ae: str
    verification_only: bool


@dataclass(frozen=True, slots=True)
class Over:
    """A connection is closed, in whatever way."""

    connection: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A worker is wanted, whose end of its channel comes with the message."""

    number: int
    slot: str
    processes: int  # how many there are, of which it is the one with this number (count)


@dataclass(frozen=True, slots=True)
class Born:
    """A worker was forked; None: the kernel gave no process."""

    pid: int | None


Message = Arrived | Answered | Dropped | Waiting | Asked | Over | Wanted | Born
_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (Arrived, Answered, Dropped, Waiting, Asked, Over, Wanted, Born)
}


class Channel:
    """One end. A message is one packet, so several threads may send."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    @classmethod
    def pair(cls) -> tuple["Channel", "Channel"]:
        """Give both ends."""
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(one), cls(other)

    def fileno(self) -> int:
        """Give the descriptor, for a selector and for handing it to a child."""
        return self._end.fileno()

    def set_blocking(self, blocking: bool) -> None:  # noqa: FBT001 - as the socket's own
        """Make `send` raise BlockingIOError instead of waiting for the other end."""
        self._end.setblocking(blocking)

    def limit(self, seconds: float) -> None:
        """Make `send` and `receive` raise TimeoutError after a time."""
        self._end.settimeout(seconds)

    def send(self, message: Message, descriptor: int | None = None) -> None:
        """Send a message, with it a descriptor; raise OSError where the other end is gone."""
        data = json.dumps([type(message).__name__, asdict(message)]).encode()
        socket.send_fds(self._end, [data], [] if descriptor is None else [descriptor])

    def receive(self) -> tuple[Message, int | None] | None:
        """Receive a message and its descriptor; None at the end."""
        data, descriptors, _, _ = socket.recv_fds(self._end, _LARGEST_BYTES, 1)
        if not data:
            return None
        kind, values = json.loads(data)
        return _KINDS[kind](**values), descriptors[0] if descriptors else None

    def close(self) -> None:
        """Close this end."""
        self._end.close()
