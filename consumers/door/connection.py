"""A connection's patience: what uvicorn leaves open to slow and endless senders is closed here.

uvicorn waits for ever for a request's first line and headers, takes any number of connections, and reads on for ever
behind a request that was answered before its body had come.
"""

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

#: Whoever was refused may send on for so long until the connection is closed: at once would lose our answer (seconds).
_LINGER_SECONDS = 2.0


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with limits. `limited` makes one with the limits of a door."""

    head_seconds: ClassVar[float]
    most_connections: ClassVar[int]
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Close what is over the limit; else wait for a request."""
        if len(self.connections) >= self.most_connections:
            transport.abort()
            return
        super().connection_made(transport)
        self._close_after(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._stay()
        if self in self.connections:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a connection that was taken."""
        if self in self.connections:
            super().data_received(data)

    def handle_events(self) -> None:
        """Once a request's head is whole its body's time counts, which the application measures."""
        super().handle_events()
        if self.conn.their_state is not h11.IDLE and self.conn.our_state is not h11.DONE:
            self._stay()

    def on_response_complete(self) -> None:
        """Wait for the next request, or a moment for the rest of this one."""
        unread = self.conn.their_state is h11.SEND_BODY
        self._close_after(_LINGER_SECONDS if unread else self.head_seconds)
        super().on_response_complete()

    def _close_after(self, seconds: float) -> None:
        self._stay()
        self._timer = self.loop.call_later(seconds, self.transport.abort)

    def _stay(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def limited(head_seconds: float, most_connections: int) -> type[PatientProtocol]:
    """Make the protocol of a door."""
    limits: dict[str, Any] = {"head_seconds": head_seconds, "most_connections": most_connections}
    return type("DoorProtocol", (PatientProtocol,), limits)
