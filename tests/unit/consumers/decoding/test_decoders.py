"""Decoders are processes: one that dies takes one image with it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2KLossless

from consumers.decoding.decoders import DecoderProcess, Decoders
from consumers.decoding.frames import Decoded
from consumers.decoding.nursery import Nursery
from consumers.decoding.shared_area import KEPT_BYTES
from consumers.imaging.prepare import prepare
from consumers.imaging.preprocess import InputSpec
from consumers.lanes.precedence import Precedence
from consumers.lanes.right_of_way import RightOfWay
from radstream.objects.stores import MemoryObjects
from radstream.phantoms.dicom import phantom
from schemas.errors import NotEvaluable, ObjectCorrupt, ObjectMissing
from schemas.instance_received import InstanceReceived
from schemas.topics import RECEIVED_STAT
from schemas.words import Lane, Reason, ReviewReason
from tests.processes import children, family, lives
from tests.publishing import part10
from tests.running import until
from tests.unit.schemas.samples import SAMPLES

SPEC = InputSpec(64, 64, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Start what decoders come from."""
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def decoder(nursery: Nursery) -> Iterator[DecoderProcess]:
    """Start one."""
    made = DecoderProcess(nursery)
    yield made
    made.end()


@pytest.fixture(scope="module")
def film() -> bytes:
    """Give a phantom's bytes."""
    return b"".join(part10(phantom(1, 0, datetime(2026, 1, 1, tzinfo=UTC))))


def decoded(
    decoder: DecoderProcess, part10: bytes, *specs: InputSpec, seconds: float = PATIENCE_S
) -> tuple[Decoded, ...]:
    """Put an image where the fetch would, and have it decoded."""
    decoder.room[: len(part10)] = part10
    return decoder.decode(len(part10), specs, seconds)


def test_a_decoder_gives_what_prepare_gives(decoder: DecoderProcess, film: bytes) -> None:
    """The way through the process changes no bit."""
    here = prepare(film, SPEC)

    (there,) = decoded(decoder, film, SPEC)

    assert np.array_equal(there.tensor, here.tensor)
    assert (there.statistics, there.acquisition) == (here.statistics, here.acquisition)
    assert (there.quality, there.flags) == (here.quality, here.flags)


def test_what_the_quality_checks_found_comes_back(decoder: DecoderProcess) -> None:
    """Flags of a turned film, and the code of one that shows nothing."""
    dataset = phantom(1, 0, datetime(2026, 1, 1, tzinfo=UTC))
    pixels = np.rot90(dataset.pixel_array).copy()
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelData = pixels.tobytes()
    turned = b"".join(part10(dataset))
    dataset.PixelData = np.full_like(pixels, pixels.mean()).tobytes()

    (found,) = decoded(decoder, turned, SPEC)
    with pytest.raises(NotEvaluable) as caught:
        decoded(decoder, b"".join(part10(dataset)), SPEC)

    assert ReviewReason.ROTATED in found.flags
    assert found.quality["rotated"] > 0
    assert (caught.value.reason, caught.value.doubts) == (Reason.QUALITY, (ReviewReason.LOW_CONTRAST,))


def test_an_image_stays_what_it_was_when_the_next_one_comes(decoder: DecoderProcess, film: bytes) -> None:
    """The shared memory is used again; what was handed out of it is not."""
    (first,) = decoded(decoder, film, SPEC)
    before = first.tensor.copy()

    (second,) = decoded(decoder, b"".join(part10(phantom(2, 1, datetime(2026, 1, 1, tzinfo=UTC)))), SPEC)

    assert np.array_equal(first.tensor, before)
    assert not np.array_equal(first.tensor, second.tensor)


def test_a_film_finds_the_memory_of_the_film_before(decoder: DecoderProcess) -> None:
    """What is given back after each film comes back page by page: that took a third of a decoder's time."""
    dataset = phantom(1, 0, datetime(2026, 1, 1, tzinfo=UTC))
    pixels = np.kron(dataset.pixel_array, np.ones((2, 2), dataset.pixel_array.dtype))
    dataset.file_meta.TransferSyntaxUID = HTJ2KLossless
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelData = encapsulate([imagecodecs.htj2k_encode(pixels)])
    large, usual = b"".join(part10(dataset)), replace(SPEC, height=224, width=224)
    for _ in range(3):
        decoded(decoder, large, usual)
    before = page_faults(decoder.pid)

    for _ in range(5):
        decoded(decoder, large, usual)

    assert page_faults(decoder.pid) - before < 5 * 100


def page_faults(pid: int) -> int:
    """Count the pages that the system gave a process: minflt, the tenth field of proc_pid_stat(5)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7])


def test_two_models_of_two_sizes_each_get_their_own(decoder: DecoderProcess, film: bytes) -> None:
    """One fetch, one tensor for each input that was wanted, in their order."""
    smaller = InputSpec(32, 48, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))

    there = decoded(decoder, film, SPEC, smaller)

    assert [one.tensor.shape for one in there] == [(3, 64, 64), (3, 32, 48)]
    assert np.array_equal(there[1].tensor, prepare(film, smaller).tensor)


def test_a_reason_comes_back_as_a_reason(decoder: DecoderProcess, film: bytes) -> None:
    """And the decoder lives on."""
    with pytest.raises(NotEvaluable) as caught:
        decoded(decoder, film[: len(film) // 2], SPEC)

    assert caught.value.reason is Reason.UNDECODABLE
    assert isinstance(decoded(decoder, film, SPEC)[0], Decoded)


def test_a_decoder_killed_in_the_middle_is_that_images_reason(decoder: DecoderProcess, film: bytes) -> None:
    """`decoder_crashed` at once, and nobody else notices."""
    os.kill(decoder.pid, signal.SIGSTOP)
    threading.Timer(0.2, os.kill, (decoder.pid, signal.SIGKILL)).start()
    begun = time.monotonic()

    with pytest.raises(NotEvaluable) as caught:
        decoded(decoder, film, SPEC)

    assert time.monotonic() - begun < PATIENCE_S
    assert caught.value.reason is Reason.DECODER_CRASHED
    assert not decoder.alive


def test_a_decoder_that_hangs_is_given_up(decoder: DecoderProcess, film: bytes) -> None:
    """After its time limit, and what it may say later is not taken for another image's."""
    os.kill(decoder.pid, signal.SIGSTOP)
    begun = time.monotonic()

    with pytest.raises(NotEvaluable) as caught:
        decoded(decoder, film[:10_000], SPEC, seconds=0.2)

    assert caught.value.reason is Reason.DECODER_CRASHED
    assert time.monotonic() - begun < PATIENCE_S
    os.kill(decoder.pid, signal.SIGCONT)
    deadline = time.monotonic() + PATIENCE_S
    while decoder.alive and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not decoder.alive


def corrupt() -> None:
    """Find another hash."""
    raise ObjectCorrupt("another hash")


@pytest.mark.parametrize("kept", [1.0, 0.5])
def test_another_hash_weighs_more_than_what_was_decoded(decoder: DecoderProcess, film: bytes, kept: float) -> None:
    """The hash is checked beside the decoder; a picture and a reason alike are dropped, and the decoder goes on."""
    decoder.room[: len(film)] = film
    with pytest.raises(ObjectCorrupt):
        decoder.decode(int(kept * len(film)), (SPEC,), PATIENCE_S, corrupt)

    assert decoder.alive
    assert isinstance(decoded(decoder, film, SPEC)[0], Decoded)


def test_a_decoder_that_hangs_on_a_corrupt_image_answers_no_other(decoder: DecoderProcess, film: bytes) -> None:
    """Its late answer would be taken for the next image's."""
    os.kill(decoder.pid, signal.SIGSTOP)
    decoder.room[: len(film)] = film

    with pytest.raises(ObjectCorrupt):
        decoder.decode(len(film), (SPEC,), 0.2, corrupt)

    assert not decoder.alive


def test_a_stat_image_finds_a_decoder_however_busy_routine_is(film: bytes) -> None:
    """One is kept for it; the others stand still meanwhile, and are behind it at the processor."""
    way = RightOfWay()
    store = Hanging()
    pool = Decoders(store, workers=1, timeout_s=PATIENCE_S, precedence=Precedence(way, stat_threads=1, nice=5))
    pool.wait_ready()
    event = SAMPLES[RECEIVED_STAT]
    assert isinstance(event, InstanceReceived)
    event = replace(event, lane=Lane.ROUTINE)
    held = pool.submit(event, (SPEC,))
    assert store.entered.wait(PATIENCE_S)

    stat = pool.submit_bytes(Lane.STAT, film, (SPEC,), PATIENCE_S).result(PATIENCE_S)

    assert not isinstance(stat.images, NotEvaluable)
    assert not held.done()
    store.over.set()
    assert isinstance(held.exception(PATIENCE_S), ObjectMissing)
    pool.close()


class Hanging(MemoryObjects):
    """A store that answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.over = threading.Event(), threading.Event()

    def get_into(self, key: str, room: memoryview) -> int:
        """Wait."""
        self.entered.set()
        self.over.wait(PATIENCE_S)
        return super().get_into(key, room)


def test_a_decoder_ends_with_its_owner(nursery: Nursery) -> None:
    """When it is let go, no process is left behind: neither it nor its corpse."""
    made = DecoderProcess(nursery)

    made.end()

    until(lambda: not Path(f"/proc/{made.pid}").exists(), PATIENCE_S, "it is still there")


def test_decoders_end_with_a_process_that_was_killed() -> None:
    """Its death closes their links, and what they came from loses its owner."""
    code = (
        "import os, signal, tests.processes\n"
        "from consumers.decoding.decoders import DecoderProcess\n"
        "from consumers.decoding.nursery import Nursery\n"
        "nursery = Nursery()\n"
        "made = [DecoderProcess(nursery) for _ in range(2)]\n"
        "print(*tests.processes.family(os.getpid())[1:], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    others = [int(pid) for pid in done.stdout.split()]
    assert (done.returncode, len(others)) == (-signal.SIGKILL, 3)
    until(lambda: not any(map(lives, others)), PATIENCE_S, "somebody lives on")


def test_a_nursery_that_was_killed_is_replaced(film: bytes) -> None:
    """The decoders that it bore work on, and others come."""
    nursery = Nursery()
    elder = DecoderProcess(nursery)
    (parent,) = [one for one in family(os.getpid()) if elder.pid in children(one)]
    os.kill(parent, signal.SIGKILL)

    younger = DecoderProcess(nursery)

    for one in (elder, younger):
        assert decoded(one, film, SPEC)
        one.end()
    nursery.close()


def test_decoders_share_what_was_loaded(nursery: Nursery) -> None:
    """One that comes by a fork has little of its own before its first film (KiB)."""
    made = DecoderProcess(nursery)
    lines = Path(f"/proc/{made.pid}/smaps_rollup").read_text().splitlines()
    made.end()

    sizes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines[1:])}
    assert sizes["Private_Dirty"] < sizes["Rss"] / 4


def test_a_large_image_leaves_no_memory_behind(decoder: DecoderProcess) -> None:
    """What it took beyond a usual film goes back to the system."""
    size = KEPT_BYTES + 10_000_000
    decoder.room[size - 1 : size] = b"x"

    decoder.forget(size)

    assert decoder.room[size - 1] == 0
