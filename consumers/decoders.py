"""Fetch and decode, STAT first: a few threads, each with a decoder process of its own.

A process that dies or takes too long takes one image with it, and is replaced.
"""

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection

from prometheus_client import Gauge

from consumers.claim_check import fetch
from consumers.decoder_frames import READY, Content, Decoded, answered, ask
from consumers.imaging.preprocess import InputSpec
from consumers.lanes import LaneQueue
from radstream.logs import get_log
from radstream.objects import Objects
from radstream.settings import process_environment
from schemas.errors import NotEvaluable, RadStreamError
from schemas.instance_received import InstanceReceived
from schemas.words import Lane, Reason

BUSY = Gauge("radstream_decoders_busy", "Images that are in a stage at this moment", ["stage"])

_START_SECONDS = 60.0
_FRAME_SECONDS = 10
_STOP_SECONDS = 2.0
#: Each decoder is one thread of work: the pool is the parallelism.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}


@dataclass(frozen=True, slots=True)
class Fetched:
    """An image out of the pool, and how long its two stages took (milliseconds)."""

    images: tuple[Decoded, ...] | NotEvaluable  # one for each input that was wanted, in their order
    fetch_ms: float
    decode_ms: float


@dataclass(frozen=True, slots=True)
class _Job:
    fetch: Callable[[], Content]
    specs: Sequence[InputSpec]
    timeout_s: float
    future: Future[Fetched]


class DecoderProcess:
    """One decoder and the link to it. One thread uses it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        # A process that stands still must not hold this thread in the middle of a frame.
        for direction in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, direction, struct.pack("ll", _FRAME_SECONDS, 0))
        with theirs:
            # An exec'd process of its own: a fork would copy Kafka's threads in an unknown state.
            self._process = subprocess.Popen(  # noqa: S603 - our own module, by the interpreter that runs us
                [sys.executable, "-m", "consumers.decoder_process", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=process_environment() | _ONE_THREAD,
                stdin=subprocess.DEVNULL,
            )
        self._link: Connection[bytes, bytes] = Connection(ours.detach())

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait_ready(self) -> bool:
        """Wait until it has loaded its libraries; say whether it did."""
        try:
            return self._link.poll(_START_SECONDS) and self._link.recv_bytes() == READY
        except (EOFError, OSError):
            return False

    @property
    def alive(self) -> bool:
        """Whether the process runs and owes no answer."""
        return self._process.poll() is None and not self._link.poll(0)

    def decode(self, content: Content, specs: Sequence[InputSpec], timeout_s: float) -> tuple[Decoded, ...]:
        """Decode one image; raises NotEvaluable with its reason, `decoder_crashed` when the process died or hangs."""
        try:
            ask(self._link, content, specs)
            if not self._link.poll(timeout_s):
                raise NotEvaluable(Reason.DECODER_CRASHED, f"no answer in {timeout_s} s")
            return answered(self._link, specs)
        except (EOFError, OSError, ValueError, KeyError, TypeError) as error:
            raise NotEvaluable(Reason.DECODER_CRASHED, f"exit status {self._process.poll()}") from error

    def end(self) -> None:
        """End the process, whatever it does."""
        self._link.close()
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)


class Decoders:
    """The pool. `submit` from any thread."""

    def __init__(self, objects: Objects, workers: int, timeout_s: float) -> None:
        self._objects = objects
        self._timeout_s = timeout_s
        self._queue: LaneQueue[_Job] = LaneQueue()
        self._ready = threading.Semaphore(0)
        self._workers = workers
        self._threads = [threading.Thread(target=self._work, name=f"decoder-{n}", daemon=True) for n in range(workers)]
        for thread in self._threads:
            thread.start()

    def wait_ready(self) -> None:
        """Wait until every decoder has loaded its libraries."""
        for _ in range(self._workers):
            self._ready.acquire()

    def submit(self, event: InstanceReceived, specs: Sequence[InputSpec]) -> Future[Fetched]:
        """Queue an image, wanted in these forms.

        The future raises what `fetch` raises; a reason of the decoder's is a value.
        """
        return self._put(event.lane, partial(fetch, self._objects, event), specs, self._timeout_s)

    def submit_bytes(
        self, lane: Lane, content: Content, specs: Sequence[InputSpec], timeout_s: float
    ) -> Future[Fetched]:
        """Queue an image that is here already: a Part 10 file, a PNG or a JPEG."""
        return self._put(lane, lambda: content, specs, min(timeout_s, self._timeout_s))

    def _put(
        self, lane: Lane, content: Callable[[], Content], specs: Sequence[InputSpec], timeout_s: float
    ) -> Future[Fetched]:
        future: Future[Fetched] = Future()
        self._queue.put(lane, _Job(content, specs, timeout_s, future))
        return future

    def waiting(self, lane: Lane) -> int:
        """Say how many images of a lane wait for a decoder."""
        return self._queue.waiting(lane)

    def close(self) -> None:
        """Let the threads end after the image that they hold, and their processes with them."""
        self._queue.close()
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        decoder = DecoderProcess()
        decoder.wait_ready()
        self._ready.release()
        try:
            while (job := self._queue.take()) is not None:
                if not decoder.alive:
                    decoder = _replaced(decoder)
                if self._settle(decoder, job):
                    decoder = _replaced(decoder)
        finally:
            decoder.end()

    def _settle(self, decoder: DecoderProcess, job: _Job) -> bool:
        """Give the future its outcome; say whether the decoder must be replaced."""
        begun = time.perf_counter()
        try:
            with BUSY.labels("fetch").track_inprogress():
                content = job.fetch()
        # A future carries any error to the loop, which judges it; this thread must live on.
        except (RadStreamError, MemoryError, OSError) as error:
            job.future.set_exception(error)
            return False
        fetched = time.perf_counter()
        outcome: tuple[Decoded, ...] | NotEvaluable
        try:
            with BUSY.labels("decode").track_inprogress():
                outcome = decoder.decode(content, job.specs, job.timeout_s)
        except NotEvaluable as error:
            outcome = error
        done = time.perf_counter()
        job.future.set_result(Fetched(outcome, 1000 * (fetched - begun), 1000 * (done - fetched)))
        return isinstance(outcome, NotEvaluable) and outcome.reason is Reason.DECODER_CRASHED


def _replaced(decoder: DecoderProcess) -> DecoderProcess:
    get_log().warning("decoder replaced", worker=decoder.pid)
    decoder.end()
    fresh = DecoderProcess()
    fresh.wait_ready()
    return fresh
