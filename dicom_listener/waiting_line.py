"""A queue of images between two steps of forwarding: STAT first, then as they came. Thread-safe."""

import queue
from contextlib import suppress
from itertools import count

from dicom_listener.work import Work

#: How long a step waits for work before it looks whether it shall end (seconds).
POLL_SECONDS = 0.1


class WaitingLine:
    """Unbounded: the forwarder bounds what is in hand altogether."""

    def __init__(self) -> None:
        self._queue: queue.PriorityQueue[tuple[int, int, Work]] = queue.PriorityQueue()
        self._sequence = count()

    def put(self, work: Work) -> None:
        """Add an image at the end of its lane."""
        self._queue.put((work.urgency, next(self._sequence), work))

    def batch(self, most: int, seconds: float = POLL_SECONDS) -> list[Work]:
        """Take all that is ready, up to the limit; wait a moment where nothing is."""
        taken: list[Work] = []
        with suppress(queue.Empty):
            taken.append(self._queue.get(timeout=seconds)[2])
            while len(taken) < most:
                taken.append(self._queue.get_nowait()[2])
        return taken

    def __len__(self) -> int:
        """Give how many images wait (count)."""
        return self._queue.qsize()

    @property
    def has_stat(self) -> bool:
        """Whether a STAT image is next."""
        waiting = self._queue.queue
        return bool(waiting) and waiting[0][0] == 0
