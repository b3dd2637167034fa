"""The prediction cache before the engines: an input that a model has seen gets the answer that it had."""

import sys
from concurrent.futures import Future
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from consumers.engines.engine import Inference
from consumers.inference.forward import Answer, Engines
from consumers.inference.futures import settled
from consumers.inference.prediction_cache import Patience, PredictionCache
from consumers.models.loaded import LoadedModel
from radstream.kept_values import Bounds, RedisValues
from radstream.settings import Settings
from schemas.words import Lane

_NAME = "radstream:predictions"
_PARTS = tuple(part.name for part in fields(Inference))


class Remembered:
    """What was answered, by model and input. No call raises; none takes longer than the cache's patience."""

    def __init__(self, cache: PredictionCache) -> None:
        self._cache = cache

    def find(self, model: LoadedModel, tensor: NDArray[np.float32]) -> tuple[str, Inference | None]:
        """Give an input's key, and the answer that it had, one row; None where it had none."""
        key = self._cache.key(identity(model), tensor)
        (found,) = self._cache.get([key])
        return key, None if found is None or not found.keys() <= set(_PARTS) else Inference(**found)

    def keep(self, key: str, inference: Inference) -> None:
        """Keep an answer, one row, in the background."""
        parts = {name: getattr(inference, name) for name in _PARTS}
        self._cache.put([(key, {name: part for name, part in parts.items() if part is not None})])


def identity(model: LoadedModel) -> str:
    """Say everything but the input that an answer's bits depend on: the package, the engine and its release.

    An engine's name says its precision. The machine is left out: two kinds of CPU may differ in the last bit, with a
    cache and without.
    """
    libraries = [name.partition("-")[0] for name in model.engine.name.split("+")]  # of an ensemble several
    releases = " ".join(getattr(sys.modules.get(one), "__version__", "") for one in libraries)
    return f"{model.digest} {model.engine.name} {releases}"


class Remembering:
    """Engines that answer what is remembered at once: with what the engine gave, and no images in its batch."""

    def __init__(self, engines: Engines, memory: Remembered) -> None:
        self._engines = engines
        self._memory = memory

    def submit(self, lane: Lane, model: LoadedModel, tensor: NDArray[np.float32]) -> Future[Answer]:
        """Look an image up, and queue it where it is not known."""
        key, found = self._memory.find(model, tensor)
        if found is not None:
            return settled(Answer(found, waited_ms=0.0, forward_ms=0.0, images=0))
        future = self._engines.submit(lane, model, tensor)

        def keep(done: Future[Answer]) -> None:
            if done.exception() is None:
                self._memory.keep(key, done.result().inference)

        future.add_done_callback(keep)
        return future


def remembering(engines: Engines, settings: Settings) -> Engines:
    """Put the cache that the settings ask for before engines."""
    if not settings.prediction_cache:
        return engines
    bounds = Bounds(
        values=settings.prediction_cache_answers,
        keep_seconds=settings.prediction_cache_seconds,
        step_seconds=settings.prediction_cache_wait_seconds,
    )
    values = RedisValues(settings.redis_url, _NAME, bounds)
    patience = Patience(wait_seconds=settings.prediction_cache_wait_seconds)
    return Remembering(engines, Remembered(PredictionCache(values, settings.require_vault_key(), patience)))
