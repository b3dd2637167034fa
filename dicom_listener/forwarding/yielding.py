"""What arrives comes first: how fast others are forwarded beside it (policy spool), and when it may use more cores."""

import threading
import time
from collections.abc import Callable

from dicom_listener.processes.board import Board

#: Under pressure this many images are forwarded at a time (count).
TRICKLE = 8
#: And for this share of the time, of all processes together: servers, disk and processor belong to what arrives.
SHARE = 0.1
#: From this share of the first watermark on, room on the disk is dearer than the rate of what arrives.
FILLING_SHARE = 0.75
#: How long after the last object the pressure lasts (seconds).
_CALM_SECONDS = 0.2


class Yielding:
    """Says when forwarding must wait, in one of the listener's processes, for what arrives in any. Thread-safe.

    `yields`: whether it ever must; `is_filling`: whether the disk asks for full speed all the same.
    """

    def __init__(
        self,
        board: Board,
        *,
        worker: int = 0,
        yields: bool,
        is_filling: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._board = board
        self._worker = worker
        self._share = SHARE / board.processes
        self._yields = yields
        self._is_filling = is_filling
        self._clock = clock
        self._guard = threading.Lock()
        self._in_hand = 0
        board.forget(worker)
        self._began = self._next = 0.0

    def receiving(self, step: int) -> None:
        """Note that an object began to arrive (1) or was answered or given up (-1)."""
        with self._guard:
            self._in_hand += step
            self._board.arriving(self._worker, self._in_hand, self._clock())

    def leaves_cores(self, cores: int) -> bool:
        """Say whether the only object that arrives here may use two cores, of so many that all processes share."""
        return self._in_hand <= 1 and 2 * self._board.arrivals()[0] <= cores

    def is_pressed(self) -> bool:
        """Say whether objects arrive, and what they need comes before forwarding."""
        if not self._yields:
            return False
        arriving, last = self._board.arrivals()
        return (arriving > 0 or self._clock() - last < _CALM_SECONDS) and not self._is_filling()

    def must_wait(self, under_way: int) -> bool:
        """Say whether the next routine images must wait, while `under_way` are being forwarded (count)."""
        if not self.is_pressed():
            self._next = 0.0
            return False
        now = self._clock()
        if under_way:
            return True
        if self._began:
            self._next = now + (now - self._began) * (1 - self._share) / self._share
            self._began = 0.0
        return now < self._next

    def taken(self) -> None:
        """Note that a batch is under way."""
        self._began = self._clock()
