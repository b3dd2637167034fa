"""How an association waits: pynetdicom's two loops look at their queues a thousand times a second; ours are told.

The loops stay pynetdicom's. What they call at each round, the socket's `ready` and the checkpoint's `wait`, sleeps
until something is there for them: bytes, a primitive to send, a message to serve, the end. Timers are looked at twice
a second.
"""

import os
import queue
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

#: How long a loop sleeps when nothing happens: what its timers may be late by (seconds).
LOOK_SECONDS = 0.5


class Bell:
    """Wakes a poll. Thread-safe; a closed one is silent."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._guard = threading.Lock()
        self._closed = False

    def fileno(self) -> int:
        """Give the descriptor to poll."""
        return self._descriptor

    def ring(self) -> None:
        """Wake whoever polls, now or next."""
        with self._guard:
            if not self._closed:
                os.eventfd_write(self._descriptor, 1)

    def heard(self) -> None:
        """Be silent until the next ring."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._descriptor)

    def close(self) -> None:
        """Give the descriptor back."""
        with self._guard:
            if not self._closed:
                self._closed = True
                os.close(self._descriptor)


class ToldQueue(queue.Queue[Any]):
    """A queue that tells of what is put into it."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__()
        self._tell = tell

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: FBT001, FBT002 - queue's
        """Put, then tell."""
        super().put(item, block, timeout)
        self._tell()


class Poll:
    """Waits for bytes of a connection, or for a bell."""

    def __init__(self, descriptor: int, bell: Bell) -> None:
        self._bell = bell
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._poll.register(bell.fileno(), select.POLLIN)

    def wait(self, seconds: float) -> int:
        """Give what is there of the connection's events (select.POLL*), 0 for nothing; raise OSError."""
        events = dict(self._poll.poll(seconds * 1000))
        if events.pop(self._bell.fileno(), 0):
            self._bell.heard()
        return next(iter(events.values()), 0)


class Pause(threading.Event):
    """The checkpoint that pynetdicom's association thread passes at each round.

    It waits there until there is something for it: a message, the peer's or our release or abort, the end of the upper
    layer. It also waits while we read objects: until then its queues hold nothing for it.
    """

    def __init__(self, idle: Callable[[], bool]) -> None:
        """`idle` says that nothing waits for the association."""
        super().__init__()
        self._idle = idle
        self._news = threading.Event()
        self.calm = threading.Event()
        self.calm.set()
        self.set()

    def tell(self) -> None:
        """End the wait: there is something to look at."""
        self._news.set()

    def set(self) -> None:
        """Let the association go on, as threading.Event."""
        super().set()
        self._news.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until there is something to do and nobody pauses the association, pynetdicom or we."""
        self._news.clear()
        if self._idle():
            self._news.wait(LOOK_SECONDS)
        while not (self.calm.is_set() and self.is_set()):
            self.calm.wait(timeout)
            super().wait(timeout)
            if timeout is not None:
                break
        return self.is_set()
