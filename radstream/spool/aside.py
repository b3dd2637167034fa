"""What is done with pieces of an image by other threads while its next piece arrives."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait

#: Pieces of one image that may be under way (count): a thread that waits for its turn holds nobody up.
_MOST_UNDER_WAY = 4


class Aside:
    """The jobs on one image's pieces: each piece has the same ones, done in the order of pieces. Not thread-safe."""

    def __init__(self, threads: Callable[[], Sequence[Executor]] = tuple) -> None:
        """`threads`: gives one for each of a piece's jobs, which does one at a time; none where that gains nothing."""
        self._threads = threads
        self._under_way: deque[tuple[list[Future[None]], Callable[[], object]]] = deque()

    def do(self, jobs: Sequence[Callable[[], None]], free: Callable[[], object] = lambda: None) -> bool:
        """Do a piece's jobs; True: they are under way, the piece stays as it is, and `free` is called in the end.

        Raises SpoolFull when one of them, or of an earlier piece, did.
        """
        threads = self._threads()
        if not threads:
            self.settle()
            for job in jobs:
                job()
            return False
        self.settle(_MOST_UNDER_WAY - 1)
        begun = [thread.submit(job) for thread, job in zip(threads, jobs, strict=True)]
        self._under_way.append((begun, free))
        return True

    def settle(self, most: int = 0) -> None:
        """Wait until so many pieces are under way at most; raise SpoolFull when a job did."""
        while len(self._under_way) > most:
            for job in self._ended():
                job.result()

    def give_up(self) -> None:
        """Wait until nothing is under way, whatever came of it."""
        while self._under_way:
            self._ended()

    def _ended(self) -> list[Future[None]]:
        """Wait for the oldest piece that is under way; give its jobs."""
        begun, free = self._under_way.popleft()
        wait(begun)
        free()
        return begun
