"""A look at the system again and again, beside a service's own work."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from radstream.logs import get_log
from radstream.service import Stop
from schemas.errors import Unavailable

_JOIN_SECONDS = 1.0


@contextmanager
def looking(name: str, look: Callable[[], None], every_s: float, let_go: Callable[[], None]) -> Iterator[None]:
    """Call `look` every so many seconds while the block runs, in a thread of its own; `let_go` ends a look that hangs.

    A server that is away leaves what was shown before: its age must tell.
    """
    stop = Stop()

    def run() -> None:
        while not stop.requested:
            try:
                look()
            except Unavailable:
                pass  # the age of the last look tells
            except Exception as error:  # noqa: BLE001 - a meter must not end; the next look may succeed
                get_log().warning(f"{name} failed", exc_info=error)
            stop.wait(every_s)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.request()
        let_go()
        thread.join(_JOIN_SECONDS)
