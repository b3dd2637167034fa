"""Fetch and decode, STAT first: a few threads, each with a decoder process of its own.

A process that dies or takes too long takes one image with it, and is replaced.
"""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection

from prometheus_client import Gauge

from consumers.decoding.claim_check import MAX_OBJECT_BYTES, check, read
from consumers.decoding.frames import OUTPUT_BYTES, Content, Decoded, answered, ask
from consumers.decoding.nursery import Nursery
from consumers.decoding.shared_area import SharedArea
from consumers.imaging.inputs import InputSpec
from consumers.lanes.precedence import Precedence
from consumers.lanes.queue import EVERYBODY, STAT_ALONE, LaneQueue
from radstream.logs import get_log
from radstream.objects.stores import Objects
from radstream.objects.waiting import limit_waiting
from schemas.errors import NotEvaluable, RadStreamError
from schemas.instance_received import InstanceReceived
from schemas.words import Lane, Reason

BUSY = Gauge("radstream_decoders_busy", "Images that are in a stage at this moment", ["stage"])

_FRAME_SECONDS = 10
_STOP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """An image out of the pool, and how long its two stages took (milliseconds)."""

    images: tuple[Decoded, ...] | NotEvaluable  # one for each input that was wanted, in their order
    fetch_ms: float
    decode_ms: float


@dataclass(frozen=True, slots=True)
class _Job:
    fetch: Callable[[memoryview], memoryview]  # puts the image into memory and gives the part that it takes
    check: Callable[[memoryview], None]  # raises where that is not what was sent
    size_bytes: int  # what it may have put there, also where it fails
    specs: Sequence[InputSpec]
    timeout_s: float
    future: Future[Fetched] = field(default_factory=Future)


class DecoderProcess:
    """One decoder and the link to it. One thread uses it."""

    def __init__(self, nursery: Nursery) -> None:
        """Have one born; raises OSError where the system allows no process more."""
        self._objects = SharedArea(MAX_OBJECT_BYTES)
        self._tensors = SharedArea(OUTPUT_BYTES)
        ours, theirs = socket.socketpair()
        # A process that stands still must not hold this thread in the middle of a frame.
        limit_waiting(ours, _FRAME_SECONDS)
        self._link: Connection[bytes, bytes] = Connection(ours.detach())
        with theirs:
            self._process = nursery.born((theirs.fileno(), self._objects.descriptor, self._tensors.descriptor))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs and owes no answer."""
        return not self._process.ended and not self._link.poll(0)

    @property
    def room(self) -> memoryview:
        """Where an image's bytes are put before `decode`: from the object store's socket into the decoder's memory."""
        return self._objects.view(0, MAX_OBJECT_BYTES)

    def decode(
        self,
        size_bytes: int,
        specs: Sequence[InputSpec],
        timeout_s: float,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> tuple[Decoded, ...]:
        """Decode the image at the start of `room`; raises NotEvaluable with its reason.

        The reason is `decoder_crashed` when the process died or hangs. `meanwhile` runs beside the decoder; what it
        raises is raised here, whatever the decoder made of the image.
        """
        try:
            ask(self._link, size_bytes, specs)
        except (OSError, ValueError) as error:
            raise self._crashed() from error
        doubt = _raised_by(meanwhile)
        try:
            return self._answer(specs, timeout_s)
        except NotEvaluable as error:
            if doubt is not None and error.reason is Reason.DECODER_CRASHED:
                self._process.kill()  # who asks next must not get this image's answer
            raise
        finally:
            if doubt is not None:
                raise doubt

    def _answer(self, specs: Sequence[InputSpec], timeout_s: float) -> tuple[Decoded, ...]:
        try:
            if not self._link.poll(timeout_s):
                raise NotEvaluable(Reason.DECODER_CRASHED, f"no answer in {timeout_s} s")
            return answered(self._link, specs, self._tensors)
        except (EOFError, OSError, ValueError, KeyError, TypeError) as error:
            raise self._crashed() from error

    def _crashed(self) -> NotEvaluable:
        return NotEvaluable(Reason.DECODER_CRASHED, f"process {self._process.pid} does not answer")

    def forget(self, size_bytes: int) -> None:
        """Give back the memory of a large image, which was decoded or could not be fetched."""
        self._objects.trim(size_bytes)

    def end(self) -> None:
        """End the process, whatever it does."""
        self._link.close()
        self._process.kill()
        self._objects.close()
        self._tensors.close()


class Decoders:
    """The pool. `submit` from any thread.

    Where both lanes come, `precedence` keeps decoders for STAT beside the `workers`, which give them the processor.
    `nursery` is the pool's from now on, one that was started early or its own.
    """

    def __init__(
        self,
        objects: Objects,
        workers: int,
        timeout_s: float,
        precedence: Precedence | None = None,
        nursery: Nursery | None = None,
    ) -> None:
        self._objects = objects
        self._nursery = nursery or Nursery()
        self._timeout_s = timeout_s
        self._precedence = precedence or Precedence()
        self._queue: LaneQueue[_Job] = LaneQueue(self._precedence.way)
        self._ready = threading.Semaphore(0)
        taken = [EVERYBODY] * workers + [STAT_ALONE] * self._precedence.stat_threads
        self._threads = [
            threading.Thread(target=self._work, args=(lanes,), name=f"decoder-{n}", daemon=True)
            for n, lanes in enumerate(taken)
        ]
        for thread in self._threads:
            thread.start()

    def wait_ready(self) -> None:
        """Wait until every decoder has loaded its libraries."""
        for _ in self._threads:
            self._ready.acquire()

    def submit(self, event: InstanceReceived, specs: Sequence[InputSpec]) -> Future[Fetched]:
        """Queue an image, wanted in these forms.

        The future raises what `fetch` raises; a reason of the decoder's is a value.
        """
        fetched, checked = partial(read, self._objects, event), partial(check, event)
        return self._put(event.lane, _Job(fetched, checked, event.size_bytes, specs, self._timeout_s))

    def submit_bytes(
        self, lane: Lane, content: Content, specs: Sequence[InputSpec], timeout_s: float
    ) -> Future[Fetched]:
        """Queue an image that is here already: a Part 10 file, a PNG or a JPEG."""

        def copied(room: memoryview) -> memoryview:
            room[: len(content)] = content
            return room[: len(content)]

        return self._put(lane, _Job(copied, lambda _all: None, len(content), specs, min(timeout_s, self._timeout_s)))

    def _put(self, lane: Lane, job: _Job) -> Future[Fetched]:
        self._queue.put(lane, job)
        return job.future

    def waiting(self, lane: Lane) -> int:
        """Say how many images of a lane wait for a decoder."""
        return self._queue.waiting(lane)

    def close(self) -> None:
        """Let the threads end after the image that they hold, and their processes with them."""
        self._queue.close()
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._nursery.close()

    def _work(self, taken: frozenset[Lane]) -> None:
        if taken != STAT_ALONE:
            self._precedence.yield_to_stat(threading.get_native_id())  # it fetches and hashes, too
        decoder = self._started(taken)
        self._ready.release()
        try:
            while (job := self._queue.take(taken)) is not None:
                if not decoder.alive:
                    decoder = self._replaced(decoder, taken)
                if self._settle(decoder, job):
                    decoder = self._replaced(decoder, taken)
        finally:
            decoder.end()

    def _started(self, taken: frozenset[Lane]) -> DecoderProcess:
        fresh = DecoderProcess(self._nursery)
        if taken != STAT_ALONE:
            self._precedence.yield_to_stat(fresh.pid)
        return fresh

    def _replaced(self, decoder: DecoderProcess, taken: frozenset[Lane]) -> DecoderProcess:
        get_log().warning("decoder replaced", worker=decoder.pid)
        decoder.end()
        return self._started(taken)

    def _settle(self, decoder: DecoderProcess, job: _Job) -> bool:
        """Give the future its outcome; say whether the decoder must be replaced."""
        try:
            outcome = self._worked(decoder, job)
        # A future carries any error to the loop, which judges it; this thread must live on.
        except (RadStreamError, MemoryError, OSError) as error:
            job.future.set_exception(error)
            return False
        finally:
            decoder.forget(job.size_bytes)
        job.future.set_result(outcome)
        return isinstance(outcome.images, NotEvaluable) and outcome.images.reason is Reason.DECODER_CRASHED

    def _worked(self, decoder: DecoderProcess, job: _Job) -> Fetched:
        """Fetch, then decode and check the hash side by side: what has another hash is no image, decoded or not."""
        begun = time.perf_counter()
        with BUSY.labels("fetch").track_inprogress():
            found = job.fetch(decoder.room)
        fetched = time.perf_counter()
        outcome: tuple[Decoded, ...] | NotEvaluable
        try:
            with BUSY.labels("decode").track_inprogress():
                outcome = decoder.decode(len(found), job.specs, job.timeout_s, partial(job.check, found))
        except NotEvaluable as error:
            outcome = error
        return Fetched(outcome, 1000 * (fetched - begun), 1000 * (time.perf_counter() - fetched))


def _raised_by(call: Callable[[], None]) -> RadStreamError | None:
    try:
        call()
    except RadStreamError as error:
        return error
    return None
