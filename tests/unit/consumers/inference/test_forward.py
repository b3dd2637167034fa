"""The one door to the engines: every image is answered once, whatever its neighbours do."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from consumers.engines.engine import Batch, Inference
from consumers.inference.batches import BatchLimits
from consumers.inference.forward import Forward, Told
from consumers.lanes.precedence import Precedence
from consumers.lanes.right_of_way import RightOfWay
from schemas.words import Lane
from tests.unit.consumers.loaded import FirstPixel, loaded


class Choking(FirstPixel):
    """Fails on a batch that holds a negative pixel."""

    def infer(self, batch: Batch) -> Inference:
        """Look at the first pixel."""
        if (batch[:, 0, 0, 0] < 0).any():
            raise ZeroDivisionError
        return super().infer(batch)


class Slow(FirstPixel):
    """Holds every pass until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.leave = threading.Semaphore(0), threading.Event()
        self.order: list[float] = []

    def infer(self, batch: Batch) -> Inference:
        """Wait."""
        self.entered.release()
        self.leave.wait(30)
        self.order.append(float(batch[0, 0, 0, 0]))
        return super().infer(batch)


def tensor(value: float) -> Batch:
    """Give an image whose logit is this."""
    return np.full((3, 2, 2), value, np.float32)


@pytest.fixture
def forward() -> Iterator[Forward]:
    """Start one with two threads."""
    made = Forward(BatchLimits(4, 0.001), threads=2)
    yield made
    made.close()


def test_each_image_gets_its_own_answer(forward: Forward) -> None:
    """From many threads at one time, two versions, both lanes."""
    models = [loaded(FirstPixel(8), version) for version in ("1.0.0", "1.0.1")]
    found: dict[int, float] = {}

    def ask(first: int) -> None:
        for number in range(first, 200, 8):
            (answer,) = forward.infer(list(Lane)[number % 2], models[number % 3 % 2], [tensor(number)])
            found[number] = float(answer.inference.logits[0, 1])

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert found == {number: float(number) for number in range(200)}


def test_an_image_that_the_engine_chokes_on_spoils_no_other() -> None:
    """The batch is run again image by image, and only the bad one raises."""
    forward = Forward(BatchLimits(4), threads=0)
    model = loaded(Choking(4))
    futures = [forward.submit(Lane.STAT, model, tensor(value)) for value in (1, -1, 2)]

    while forward.turn():
        pass

    assert [future.exception() is None for future in futures] == [True, False, True]
    assert isinstance(futures[1].exception(), ZeroDivisionError)


def test_stat_goes_before_routine_that_waited_longer() -> None:
    """When the engine comes free, STAT is next."""
    engine = Slow()
    model = loaded(engine)
    forward = Forward(BatchLimits(), threads=1)
    first = forward.submit(Lane.ROUTINE, model, tensor(0))
    assert engine.entered.acquire(timeout=30)
    later = [
        forward.submit(Lane.ROUTINE, model, tensor(1)),
        forward.submit(Lane.ROUTINE, model, tensor(2)),
        forward.submit(Lane.STAT, model, tensor(3)),
    ]

    engine.leave.set()
    for future in [first, *later]:
        future.result(30)
    forward.close()

    assert engine.order == [0, 3, 1, 2]


def test_a_stat_image_waits_for_no_pass_of_routine() -> None:
    """A thread is kept for it; the next routine image waits until the STAT one is done."""
    slow, quick = Slow(), FirstPixel()
    way = RightOfWay()
    forward = Forward(BatchLimits(), threads=1, precedence=Precedence(way, stat_threads=1, nice=1))
    first = forward.submit(Lane.ROUTINE, loaded(slow), tensor(0))
    assert slow.entered.acquire(timeout=30)

    answer = forward.submit(Lane.STAT, loaded(quick), tensor(3)).result(30)

    assert float(answer.inference.logits[0, 1]) == 3
    assert not first.done()
    slow.leave.set()
    first.result(30)
    forward.close()


def test_stat_images_take_every_thread_when_there_are_many() -> None:
    """The kept thread is not all that they get."""
    slow = Slow()
    forward = Forward(BatchLimits(), threads=1, precedence=Precedence(stat_threads=1))
    model = loaded(slow)
    futures = [forward.submit(Lane.STAT, model, tensor(value)) for value in range(4)]

    assert slow.entered.acquire(timeout=30)
    assert slow.entered.acquire(timeout=30)

    slow.leave.set()
    assert [float(future.result(30).inference.logits[0, 1]) for future in futures] == [0, 1, 2, 3]
    forward.close()


def test_a_batch_waits_for_more_until_it_is_old_or_full() -> None:
    """A GPU's batch: full at once, or after its age."""
    now = [0.0]
    engine = FirstPixel(8)
    model = loaded(engine)
    forward = Forward(BatchLimits(3, 5.0), threads=0, monotonic=lambda: now[0])
    for value in range(4):
        forward.submit(Lane.ROUTINE, model, tensor(value))

    assert (forward.turn(), forward.turn(), engine.batches) == (True, False, [3])
    now[0] = 5.0
    assert (forward.turn(), engine.batches, forward.waiting) == (True, [3, 1], 0)


def test_a_thread_that_works_says_so() -> None:
    """An engine that never returns must not look like health."""
    beats = threading.Semaphore(0)
    forward = Forward(BatchLimits(), threads=1, told=Told(beat=lambda _name: beats.release()))

    assert beats.acquire(timeout=30)
    forward.close()
