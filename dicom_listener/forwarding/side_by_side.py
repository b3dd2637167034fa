"""A step done for each image of a batch by some threads beside, and by whoever waits for them."""

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress

from dicom_listener.forwarding.work import Work

Job = tuple[Work, "Future[bool]"]


class SideBySide:
    """Does `step`, which says whether it was done and never raises, for many images. Thread-safe."""

    def __init__(self, step: Callable[[Work], bool]) -> None:
        self._step = step
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()

    def begin(self, batch: Sequence[Work]) -> list[Job]:
        """Have it begun for all."""
        jobs: list[Job] = [(work, Future()) for work in batch]
        for job in jobs:
            self._jobs.put(job)
        return jobs

    @staticmethod
    def wait(jobs: Sequence[Job], seconds: float) -> None:
        """Wait until it is done for all, so long at most."""
        wait((answer for _, answer in jobs), seconds)

    def done(self, jobs: Sequence[Job]) -> list[Work]:
        """Do what nobody has begun, wait for the rest; give those for which it was done."""
        with suppress(queue.Empty):
            while not all(answer.done() for _, answer in jobs):
                if (job := self._jobs.get_nowait()) is None:
                    self._jobs.put(None)  # a helper's
                    break
                self._do(job)
        return [work for work, answer in jobs if answer.result()]

    def run(self) -> None:
        """Help until `end`: for a thread beside."""
        while (job := self._jobs.get()) is not None:
            self._do(job)

    def end(self, helpers: int) -> None:
        """Let so many helpers go."""
        for _ in range(helpers):
            self._jobs.put(None)

    def _do(self, job: Job) -> None:
        work, answer = job
        answer.set_result(self._step(work))
