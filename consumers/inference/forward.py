"""The one door to the engines: both lanes' images and the HTTP door's go through it."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from consumers.engines.engine import Inference
from consumers.inference.batches import Batches, BatchLimits
from consumers.lanes.precedence import Precedence
from consumers.lanes.queue import EVERYBODY, STAT_ALONE, Takers
from consumers.models.loaded import LoadedModel
from schemas.words import Lane

#: How long a thread waits before it says again that it lives (seconds).
_IDLE_SECONDS = 1.0
_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model gave for one image, and where the time went (milliseconds)."""

    inference: Inference  # one row
    waited_ms: float  # for the engine
    forward_ms: float  # of the whole batch
    images: int  # of the batch (count)


@dataclass(frozen=True, slots=True)
class _Waiting:
    tensor: NDArray[np.float32]
    since: float
    future: Future[Answer]


class Engines(Protocol):
    """What a group and the HTTP door ask of the door to the engines."""

    def submit(self, lane: Lane, model: LoadedModel, tensor: NDArray[np.float32]) -> "Future[Answer]":
        """Queue an image."""


@dataclass(frozen=True, slots=True)
class Told:
    """Whom the door tells what it does."""

    beat: Callable[[str], None] = lambda _name: None  # a thread, by its name, goes round
    counted: Callable[[str, int], None] = lambda _model, _images: None  # a model ran a batch of so many images


class Forward:
    """Runs models over images in batches: one lane's images for one model version, never mixed.

    `threads` of them at one time: on a CPU as many as cores pay, each with an image of its own; a GPU keeps two, so
    that one batch's copy runs beside the other's pass. Where both lanes come, `precedence` keeps one more thread for
    STAT, and the others give it the processor. Unbounded: whoever submits has a window of his own.
    """

    def __init__(
        self,
        limits: BatchLimits,
        threads: int = 1,
        monotonic: Callable[[], float] = time.monotonic,
        told: Told | None = None,
        precedence: Precedence | None = None,
    ) -> None:
        self._batches: Batches[LoadedModel, _Waiting] = Batches(limits, lambda model: model.engine.batch_images)
        self._monotonic = monotonic
        self._told = told or Told()
        self._precedence = precedence or Precedence()
        self._takers = Takers(self._precedence.way)
        taken = [EVERYBODY] * threads + [STAT_ALONE] * self._precedence.stat_threads
        self._threads = [
            threading.Thread(
                target=self._work, args=(f"forward {number}", lanes), name=f"forward-{number}", daemon=True
            )
            for number, lanes in enumerate(taken)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, lane: Lane, model: LoadedModel, tensor: NDArray[np.float32]) -> "Future[Answer]":
        """Queue an image, float32 [3, H, W] of the model's size. The future raises what the engine raised."""
        future: Future[Answer] = Future()
        with self._takers.lock:
            now = self._monotonic()
            self._batches.put(lane, model, _Waiting(tensor, now, future), now)
            self._takers.wake(lane, self._batches.waiting(lane))
        return future

    def infer(self, lane: Lane, model: LoadedModel, tensors: Sequence[NDArray[np.float32]]) -> list[Answer]:
        """Queue images and wait for all of them."""
        return [future.result() for future in [self.submit(lane, model, tensor) for tensor in tensors]]

    def turn(self) -> bool:
        """Run one batch that is due; say whether there was one."""
        with self._takers.lock:
            found = self._take(EVERYBODY)
        if found is not None:
            self._run(*found)
        return found is not None

    @property
    def waiting(self) -> int:
        """Images that wait for an engine (count)."""
        with self._takers.lock:
            return len(self._batches)

    def close(self) -> None:
        """Let the threads end after the batch that they hold."""
        with self._takers.lock:
            self._takers.close()
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self, name: str, taken: frozenset[Lane]) -> None:
        if taken != STAT_ALONE:
            self._precedence.yield_to_stat(threading.get_native_id())
        while (found := self._next(name, taken)) is not None:
            self._run(*found)

    def _next(self, name: str, taken: frozenset[Lane]) -> tuple[LoadedModel, list[_Waiting]] | None:
        """Wait for a batch of these lanes; None after `close`."""
        with self._takers.lock:
            while not self._takers.closed:
                self._told.beat(name)
                if (found := self._take(taken)) is not None:
                    return found
                self._takers.wait(taken, self._patience())
            return None

    def _take(self, taken: frozenset[Lane]) -> tuple[LoadedModel, list[_Waiting]] | None:
        mine = self._takers.lanes(taken, self._batches.waiting(Lane.STAT))
        return self._batches.take(self._monotonic(), mine, held=self._takers.held)

    def _patience(self) -> float:
        """Say how long to wait for news: until the next batch is due; what is due already is another thread's."""
        due_at = self._batches.due_at()
        left = 0.0 if due_at is None else due_at - self._monotonic()
        return min(left, _IDLE_SECONDS) if left > 0 else _IDLE_SECONDS

    def _run(self, model: LoadedModel, batch: Sequence[_Waiting]) -> None:
        """Answer a batch; what fails as a whole is run image by image, so that one spoils no other."""
        begun = self._monotonic()
        try:
            found = model.engine.infer(np.stack([one.tensor for one in batch]))
        # A future carries any error to who waits; this thread must live on.
        except Exception as error:  # noqa: BLE001
            if len(batch) > 1:
                for one in batch:
                    self._run(model, [one])
            else:
                batch[0].future.set_exception(error)
            return
        forward_ms = 1000 * (self._monotonic() - begun)
        self._told.counted(model.name, len(batch))
        for index, one in enumerate(batch):
            one.future.set_result(Answer(found.row(index), 1000 * (begun - one.since), forward_ms, len(batch)))
