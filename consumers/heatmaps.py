"""Heat maps into the object store: off the engine's thread, and before the result that names them is written.

A result's key stands in the log only after its object stands in the store: the put is waited for, and a store that is
away holds the image as it holds a fetch. A put again, after a crash or an abort, writes the same bytes under the same
key.
"""

import queue
import threading
import time
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass
from enum import StrEnum, unique
from io import BytesIO
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter

from consumers.engines.decision import Operating, decide
from consumers.imaging.heatmap import png_of
from radstream.objects import Objects
from schemas.errors import ObjectStoreDown
from schemas.words import Role

STORED = Counter("radstream_heatmaps_stored", "Heat maps that were put to the object store")

#: Puts wait for the store, hardly for a core (count).
THREADS = 4
#: Maps that wait at most; a window of images is smaller, so only a store that hangs fills it (count).
WAITING = 512
_STOP_SECONDS = 2.0


@unique
class Which(StrEnum):
    """Of which images a heat map is made."""

    NONE = "none"
    POSITIVES = "positives"
    ALL = "all"


def key_of(result_id: UUID, revision: int) -> str:
    """Name a map's object: one for each revision of a result, spread over 256 folders.

    >>> key_of(UUID(int=0xAB << 120), 2)
    'heatmaps/ab/ab000000-0000-0000-0000-000000000000.2.png'
    """
    return f"heatmaps/{result_id.hex[:2]}/{result_id}.{revision}.png"


@dataclass(frozen=True, slots=True)
class _Waiting:
    key: str
    evidence: NDArray[np.float32]
    found: int
    future: Future[str | None]


class HeatMaps:
    """Draws and stores maps in threads of its own. `submit` from any thread."""

    def __init__(self, objects: Objects, which: Which, threads: int = THREADS, waiting: int = WAITING) -> None:
        self._objects = objects
        self._which = which
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(waiting)
        made = threads if which is not Which.NONE else 0
        self._threads = [
            threading.Thread(target=copy_context().run, args=(self._work,), name=f"heatmap-{number}", daemon=True)
            for number in range(made)
        ]
        for thread in self._threads:
            thread.start()

    def class_of(self, logits: NDArray[np.floating], operating: Operating, role: Role) -> int | None:
        """Say of which class a map is wanted: the finding's; None for no map. Nobody looks at a shadow's."""
        if self._which is Which.NONE or role is Role.SHADOW or not np.isfinite(logits).all():
            return None
        finding = decide(logits, operating).finding
        if self._which is Which.POSITIVES and finding != operating.positive:
            return None
        return operating.classes.index(finding)

    def submit(self, key: str, evidence: NDArray[np.float32], found: int) -> Future[str | None]:
        """Queue one image's map, [classes, h, w]. The future gives the key when the object is stored.

        It raises ObjectStoreDown, here too where the queue is full: the image is tried again later.
        """
        future: Future[str | None] = Future()
        try:
            self._queue.put_nowait(_Waiting(key, evidence, found, future))
        except queue.Full:
            future.set_exception(ObjectStoreDown(f"{self._queue.maxsize} heat maps wait to be stored"))
        return future

    def close(self) -> None:
        """Let the threads end after the map that they hold."""
        for _ in self._threads:
            try:
                self._queue.put_nowait(None)
            except queue.Full:
                return  # the threads are daemons: the process does not wait for a store that hangs
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            try:
                picture = png_of(job.evidence, job.found)
                self._objects.put(job.key, BytesIO(picture), len(picture))
            # A future carries any error to the loop, which judges it; this thread must live on.
            except Exception as error:  # noqa: BLE001
                job.future.set_exception(error)
            else:
                STORED.inc()
                job.future.set_result(job.key)
