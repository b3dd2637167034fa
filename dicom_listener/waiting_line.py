"""Queues of images between two steps of forwarding: STAT first, then as they came. Thread-safe."""

import heapq
import threading
from collections.abc import Sequence
from itertools import count

from dicom_listener.work import Work

#: How long a step waits for work before it looks whether it shall end (seconds).
POLL_SECONDS = 0.1
#: How many images of studies that others have in hand are passed over in one look, a multiple of what is asked for.
_LOOKS = 4


class WaitingLine:
    """Unbounded: the forwarder bounds what is in hand altogether."""

    def __init__(self) -> None:
        self._queue: list[tuple[int, int, Work]] = []
        self._sequence = count()
        self._guard = threading.Condition()

    def put(self, work: Work) -> None:
        """Add an image at the end of its lane."""
        with self._guard:
            heapq.heappush(self._queue, (work.urgency, next(self._sequence), work))
            self._guard.notify()

    def batch(self, most: int, seconds: float = POLL_SECONDS) -> list[Work]:
        """Take all that is ready, up to the limit; wait a moment where nothing is."""
        with self._guard:
            taken = self._taken(most)
            if not taken and seconds and self._guard.wait(seconds):
                taken = self._taken(most)
            return taken

    def __len__(self) -> int:
        """Give how many images wait (count)."""
        return len(self._queue)

    @property
    def has_stat(self) -> bool:
        """Whether a STAT image is next."""
        waiting = self._queue
        return bool(waiting) and waiting[0][0] == 0

    def _taken(self, most: int) -> list[Work]:
        return [heapq.heappop(self._queue)[2] for _ in range(min(most, len(self._queue)))]


class StudyLine(WaitingLine):
    """Several take from it: a study's images go to one of them at a time, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self._studies: set[str] = set()  # that somebody has in hand

    def done(self, batch: Sequence[Work]) -> None:
        """Give back the studies of a batch that was taken."""
        with self._guard:
            self._studies.difference_update(map(_study, batch))
            if self._queue:
                self._guard.notify_all()

    def _taken(self, most: int) -> list[Work]:
        taken: list[tuple[int, int, Work]] = []
        passed: list[tuple[int, int, Work]] = []
        for _ in range(min(_LOOKS * most, len(self._queue))):
            place = heapq.heappop(self._queue)
            (passed if _study(place[2]) in self._studies else taken).append(place)
            if len(taken) == most:
                break
        for place in passed:
            heapq.heappush(self._queue, place)
        works = [work for *_, work in taken]
        self._studies.update(map(_study, works))
        return works


def _study(work: Work) -> str:
    return work.row.study_pseudonym if work.row else ""
