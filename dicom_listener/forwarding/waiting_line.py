"""Images of a lane that wait to be forwarded, in the order in which they came. Thread-safe."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from dicom_listener.forwarding.work import Work

#: How long a carrier waits for work before it looks whether it shall end (seconds).
POLL_SECONDS = 0.1
#: How many images of studies that others have in hand are passed over in one look, a multiple of what is asked for.
_LOOKS = 4
#: So many images are a batch that waits for no more (count).
_FEW = 16


class StudyLine:
    """Several take from it: a study's images go to one of them at a time, in their order.

    Unbounded: the forwarder bounds what is in hand altogether.
    """

    def __init__(self, gather: Callable[[], None] | None = None) -> None:
        """`gather` waits a moment for images that are about to come, so that a small batch becomes a larger one."""
        self._gather = gather
        self._queue: deque[Work] = deque()
        self._studies: set[str] = set()  # that somebody has in hand
        self._guard = threading.Condition()

    def put(self, work: Work) -> None:
        """Add an image at the end."""
        with self._guard:
            self._queue.append(work)
            self._guard.notify()

    def batch(self, most: int, seconds: float = POLL_SECONDS) -> list[Work]:
        """Take all that is ready, up to the limit; wait a moment where nothing is. `done` must follow."""
        with self._guard:
            if seconds and not self._is_ready(most):
                self._guard.wait(seconds)
            gather = self._gather if self._is_ready(most) and len(self._queue) < min(most, _FEW) else None
        if gather is not None:
            gather()
        with self._guard:
            return self._taken(most)

    def done(self, batch: Sequence[Work]) -> None:
        """Give back the studies of a batch that was taken."""
        with self._guard:
            self._studies.difference_update(work.study for work in batch)
            if self._queue:
                self._guard.notify_all()

    def __len__(self) -> int:
        """Give how many images wait (count)."""
        return len(self._queue)

    def _is_ready(self, most: int) -> bool:
        return any(work.study not in self._studies for work in islice(self._queue, _LOOKS * most))

    def _taken(self, most: int) -> list[Work]:
        taken: list[Work] = []
        passed: list[Work] = []
        while self._queue and len(taken) < most and len(passed) < _LOOKS * most:
            work = self._queue.popleft()
            (passed if work.study in self._studies else taken).append(work)
        self._queue.extendleft(reversed(passed))
        self._studies.update(work.study for work in taken)
        return taken
