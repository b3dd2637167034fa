"""The cache before the engine: a remembered image is answered as the engine answered it, and asks no engine."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from consumers.engines.engine import Batch, Inference
from consumers.inference.batches import BatchLimits
from consumers.inference.forward import Answer, Forward
from consumers.inference.prediction_cache import Meters, Patience, PredictionCache
from consumers.inference.remembered import Remembered, Remembering
from consumers.models.loaded import LoadedModel
from radstream.kept_values import Bounds, MemoryValues
from schemas.words import Lane
from tests.running import until
from tests.unit.consumers.loaded import FirstPixel, loaded

Ask = Callable[[Lane, LoadedModel, Batch], Answer]
RANDOM = np.random.default_rng(5)


class Rough(FirstPixel):
    """Gives other bits each time it is asked, so that an answer of its own is known."""

    def infer(self, batch: Batch) -> Inference:
        """Answer at random."""
        self.batches.append(len(batch))
        return Inference(
            RANDOM.normal(size=(len(batch), 2)).astype(np.float32),
            RANDOM.normal(size=(len(batch), 16)).astype(np.float32),
        )


@pytest.fixture
def values() -> MemoryValues:
    """Give the store."""
    return MemoryValues(Bounds())


@pytest.fixture
def ask(values: MemoryValues) -> Iterator[Ask]:
    """Start engines that remember; give the way to ask them and wait."""
    cache = PredictionCache(values, bytes(32), Patience(wait_seconds=20), Meters(CollectorRegistry()))
    forward = Forward(BatchLimits())
    engines = Remembering(forward, Remembered(cache))
    yield lambda lane, model, image: engines.submit(lane, model, image).result(20)
    forward.close()


def tensor(value: float = 1.0) -> Batch:
    """Give an image."""
    return np.full((3, 2, 2), value, np.float32)


def bits(answer: Answer) -> tuple[bytes, bytes]:
    """Give an answer's bits."""
    return answer.inference.logits.tobytes(), answer.inference.projection.tobytes()


def kept(values: MemoryValues) -> int:
    """Count what is kept."""
    return len(values._kept)  # noqa: SLF001 - the store of this test


def test_the_second_time_the_engine_is_not_asked(ask: Ask, values: MemoryValues) -> None:
    """In either lane, and bit for bit as it answered; an input of one bit's difference is asked."""
    engine = Rough()
    model = loaded(engine)
    first = ask(Lane.ROUTINE, model, tensor())
    until(lambda: kept(values) == 1, 20, "not kept")

    second = ask(Lane.STAT, model, tensor())
    other = ask(Lane.STAT, model, np.nextafter(tensor(), np.float32(9)))

    assert bits(second) == bits(first)
    assert bits(other) != bits(first)
    assert second.inference.logits.shape == (1, 2)
    assert (second.images, second.forward_ms, engine.batches) == (0, 0.0, [1, 1])


def test_another_package_is_asked(ask: Ask, values: MemoryValues) -> None:
    """Even of the same name: the digest tells them apart."""
    engine = Rough()
    ask(Lane.STAT, loaded(engine), tensor())
    until(lambda: kept(values) == 1, 20, "not kept")

    ask(Lane.STAT, loaded(engine, "1.0.1"), tensor())

    assert engine.batches == [1, 1]


@pytest.mark.parametrize("name", ["onnxruntime", "torch", "torch-half"])
def test_another_engine_is_asked(ask: Ask, values: MemoryValues, name: str) -> None:
    """Engines and precisions differ in their last digits."""
    engine, other = Rough(), Rough()
    other.name = name
    ask(Lane.STAT, loaded(engine), tensor())
    until(lambda: kept(values) == 1, 20, "not kept")

    ask(Lane.STAT, loaded(other), tensor())

    assert (engine.batches, other.batches) == ([1], [1])


def test_a_failure_is_not_remembered(ask: Ask, values: MemoryValues) -> None:
    """The next time the engine is asked again."""

    class Choking(FirstPixel):
        def infer(self, batch: Batch) -> Inference:
            super().infer(batch)
            raise ZeroDivisionError

    engine = Choking()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            ask(Lane.STAT, loaded(engine), tensor())

    assert engine.batches == [1, 1]
    assert kept(values) == 0


def test_an_answer_of_another_form_is_not_used(ask: Ask, values: MemoryValues) -> None:
    """A release with other parts of an answer asks its engine."""
    engine = Rough()
    cache = PredictionCache(values, bytes(32), Patience(wait_seconds=20), Meters(CollectorRegistry()))
    key, _ = Remembered(cache).find(loaded(engine), tensor())
    cache.put([(key, {"logits": np.zeros((1, 2), np.float32), "of a later release": np.zeros(1, np.float32)})])
    until(lambda: kept(values) == 1, 20, "not kept")

    ask(Lane.STAT, loaded(engine), tensor())

    assert engine.batches == [1]
