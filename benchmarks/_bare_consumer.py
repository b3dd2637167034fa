"""The yardstick: get an object, check its hash, decode it, run the model. Nothing else: no log, no result, no lanes.

As many processes as cores, each with a client, a buffer, a decoder and an engine of one thread of its own (`Worker`);
the functions are the consumer's own (`fetch`, `prepare`, `open_engine`). They take images from one queue, so none waits
for another. An image costs no copy between processes, and a crash would take everything with it.
"""

import multiprocessing
import os
import time
from collections.abc import Sequence
from multiprocessing.process import BaseProcess  # noqa: TC003 - beside what uses it
from multiprocessing.queues import SimpleQueue  # noqa: TC003 - likewise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from consumers.decoding.claim_check import fetch
from consumers.imaging.prepare import prepare
from consumers.models.loaded import load_model
from consumers.packages.package import load_package
from radstream.objects.stores import s3_objects
from radstream.settings import Settings
from schemas.instance_received import InstanceReceived

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}


class Worker:
    """A client, a buffer, a decoder and an engine, for one thread of work. Not to be shared."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        cv2.setNumThreads(1)
        self._objects, self._model = s3_objects(settings), load_model(load_package(folder), settings.engine)
        self._room = memoryview(b"")

    def tensor(self, event: InstanceReceived) -> NDArray[np.float32]:
        """Get an object, check its hash and decode it to what the network reads, [3, H, W]."""
        if len(self._room) < event.size_bytes:
            self._room = memoryview(bytearray(event.size_bytes))
        return prepare(fetch(self._objects, event, self._room), self._model.spec).tensor

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network over [N, 3, H, W]."""
        return self._model.engine.infer(batch).logits


def work(
    settings: Settings,
    folder: Path,
    events: Sequence[InstanceReceived],
    jobs: "SimpleQueue[int | None]",
    done: "SimpleQueue[int]",
) -> None:
    """Work off images until told to end."""
    worker = Worker(settings, folder)
    done.put(-1)
    while (index := jobs.get()) is not None:
        worker.logits(worker.tensor(events[index])[None])
        done.put(index)


class Bare:
    """The processes, ready to work."""

    def __init__(self, settings: Settings, folder: Path, events: Sequence[InstanceReceived], processes: int) -> None:
        os.environ.update(ONE_THREAD)  # before the libraries load in the children
        context = multiprocessing.get_context("spawn")
        self._jobs: SimpleQueue[int | None] = context.SimpleQueue()
        self._done: SimpleQueue[int] = context.SimpleQueue()
        self._processes: list[BaseProcess] = [
            context.Process(target=work, args=(settings, folder, events, self._jobs, self._done), daemon=True)
            for _ in range(processes)
        ]
        for process in self._processes:
            process.start()
        for name in ONE_THREAD:
            del os.environ[name]
        for _ in self._processes:
            self._done.get()

    @property
    def pids(self) -> list[int]:
        """The process ids."""
        return [process.pid for process in self._processes if process.pid]

    def images_per_second(self, indices: Sequence[int]) -> float:
        """Work off images of these indices; give the rate from the first to the last."""
        began = time.monotonic()
        for index in indices:
            self._jobs.put(index)
        for _ in indices:
            self._done.get()
        return len(indices) / (time.monotonic() - began)

    def close(self) -> None:
        """End the processes."""
        for _ in self._processes:
            self._jobs.put(None)
        for process in self._processes:
            process.join(10)
