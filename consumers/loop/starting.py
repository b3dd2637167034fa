"""What both services do while they start and end: wait for servers, and run threads that end together."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import TypeVar

from radstream.logs import get_log
from radstream.service import EXIT_FAILED, Health, Stop
from schemas.errors import SchemaMissing, Unavailable

V = TypeVar("V")

_PAUSE_SECONDS = 0.5
_WATCH_SECONDS = 1.0
_JOIN_SECONDS = 6.0
#: How long a service waits for its servers while it starts (seconds).
START_SECONDS = 15.0
#: A turn of a loop takes no longer, whatever is retried in it (seconds): nine calls of ten seconds, and the rest.
STUCK_SECONDS = 150.0


def patiently(call: Callable[[], V], part: str, health: Health, stop: Stop) -> V | None:
    """Call until the server behind it answers, not ready meanwhile; None when asked to stop.

    A server that is still away after START_SECONDS raises its error: the process ends with one line, and whoever keeps
    it starts it again. Once a group runs, it waits for any server as long as it takes.
    """
    deadline = time.monotonic() + START_SECONDS
    while not stop.requested:
        try:
            found = call()
        except (Unavailable, SchemaMissing) as error:
            if time.monotonic() > deadline:
                raise
            health.not_ready(f"waiting: {error.cause}", part)
            stop.wait(_PAUSE_SECONDS)
        else:
            health.ready(part)
            return found
    return None


class Pulse:
    """When each loop last went round: a call of a foreign library that never returns must not look like health."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last: dict[str, float] = {}

    def beat(self, name: str) -> None:
        """Say that a loop goes round."""
        self._last[name] = self._monotonic()

    def stopped(self) -> list[str]:
        """Name the loops that have not gone round for STUCK_SECONDS."""
        now = self._monotonic()
        return sorted(name for name, last in dict(self._last).items() if now - last > STUCK_SECONDS)


def together(calls: Sequence[Callable[[], None]], stop: Stop, pulse: Pulse) -> None:
    """Run each in a thread; the first that raises stops all, and its error is raised here.

    A loop that is stuck ends the process on the spot: a transaction that hangs holds up its readers, and whoever keeps
    the process starts it again, which fences the old one.
    """
    failures: list[BaseException] = []

    def guarded(call: Callable[[], None]) -> None:
        try:
            call()
        # Carried to the main thread, which ends the process with it.
        except BaseException as error:  # noqa: BLE001
            failures.append(error)
            stop.request()

    # A thread begins without the log's context: each takes a copy along.
    threads = [threading.Thread(target=copy_context().run, args=(guarded, call), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    while not stop.wait(_WATCH_SECONDS):
        if stuck := pulse.stopped():
            get_log().error("loop stuck", group=stuck[0], seconds=STUCK_SECONDS)
            os._exit(EXIT_FAILED)  # a clean end would wait for the same call
    deadline = time.monotonic() + _JOIN_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if failures:
        raise failures[0]
