"""The prediction cache: the same model input and the same package are answered without a forward pass.

It never holds an image: a store that is slow or away is a miss after `wait_seconds`, and is then left alone for
`rest_seconds`. It sits before the engine, behind scope and quality checks, so what these refuse is never asked for.
"""

import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Full, Queue
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from prometheus_client import REGISTRY, CollectorRegistry, Counter

from consumers.inference.kept_answer import Answer, NoAnswer, from_bytes, to_bytes
from radstream.kept_values import KeptValues
from radstream.logs import get_log
from schemas.errors import RedisDown

V = TypeVar("V")

#: What waits for the store while it is slow; more is not kept (count of calls).
_WAITING_CALLS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a look-up may take, and how long a store that failed is left alone (seconds)."""

    wait_seconds: float = 0.05
    rest_seconds: float = 5.0


class Meters:
    """What the cache tells Prometheus."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._asked = Counter(
            "radstream_prediction_cache",
            "Images asked for: hit, miss, resting (not asked: the store had failed)",
            ["outcome"],
            registry=registry,
        )
        self._errors = Counter(
            "radstream_prediction_cache_errors",
            "Calls in vain: away (none in time), refused (a value that is not ours), full and unfit (not kept)",
            ["cause"],
            registry=registry,
        )

    def asked(self, outcome: str, images: int = 1) -> None:
        """Count images by what became of the look-up."""
        self._asked.labels(outcome).inc(images)

    def error(self, cause: str) -> None:
        """Count an error."""
        self._errors.labels(cause).inc()


class PredictionCache:
    """Answers by the input that they were given for. Thread-safe; no call raises, none takes longer than `patience`.

    Everything is keyed with secrets derived from the vault's key, which inference holds anyway: without it the store
    neither says which images were seen, nor can whoever writes to it change an answer.
    """

    def __init__(
        self,
        values: KeptValues,
        secret: bytes,
        patience: Patience | None = None,
        meters: Meters | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._values = values
        self._key_secret = _derived(secret, "key")
        self._tag_secret = _derived(secret, "tag")
        self._patience = patience or Patience()
        self._meters = meters or Meters()
        self._monotonic = monotonic
        self._not_before = 0.0
        self._calls: Queue[Callable[[], None]] = Queue(_WAITING_CALLS)
        threading.Thread(target=self._work, name="prediction-cache", daemon=True).start()

    def key(self, model: str, tensor: NDArray[np.float32]) -> str:
        """Name a model's input [3, H, W]: HMAC-SHA-256 in hex of `model` and of the tensor's type, shape and bytes.

        `model` says everything else that the answer depends on: the package's digest, the engine and its precision.
        """
        mac = hmac.new(self._key_secret, f"{model}\0{tensor.dtype.str}{tensor.shape}\0".encode(), hashlib.sha256)
        mac.update(np.ascontiguousarray(tensor).data.cast("B"))
        return mac.hexdigest()

    def get(self, keys: Sequence[str]) -> list[Answer | None]:
        """Give the kept answers, None for a miss, whatever its reason."""
        nothing: list[Answer | None] = [None] * len(keys)
        if self._resting:
            self._meters.asked("resting", len(keys))
            return nothing
        asked: Future[list[bytes | None]] = Future()
        try:
            found = self._call(lambda: self._values.get(keys), asked).result(self._patience.wait_seconds)
        except (RedisDown, TimeoutError, Full) as error:
            asked.cancel()
            self._failed(error)
            self._meters.asked("miss", len(keys))
            return nothing
        answers = [None if kept is None else self._read(key, kept) for key, kept in zip(keys, found, strict=True)]
        hits = sum(one is not None for one in answers)
        self._meters.asked("hit", hits)
        self._meters.asked("miss", len(keys) - hits)
        return answers

    def put(self, answers: Iterable[tuple[str, Answer]]) -> None:
        """Keep answers, in the background. One that holds a value that is no number is not kept."""
        if self._resting:
            return
        try:
            values = {key: to_bytes(answer, key, self._tag_secret) for key, answer in answers if _is_sound(answer)}
            self._call(lambda: self._values.put(values), Future()).add_done_callback(self._kept)
        except (Full, ValueError) as error:
            self._meters.error("full" if isinstance(error, Full) else "unfit")

    @property
    def _resting(self) -> bool:
        return self._monotonic() < self._not_before

    def _read(self, key: str, kept: bytes) -> Mapping[str, NDArray[np.float32]] | None:
        try:
            return from_bytes(kept, key, self._tag_secret)
        except NoAnswer:
            self._meters.error("refused")
            return None

    def _kept(self, done: "Future[None]") -> None:
        error = done.exception()
        if error is not None:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        self._not_before = self._monotonic() + self._patience.rest_seconds
        self._meters.error("away")
        get_log().warning("prediction cache left alone", cause="redis_down", error=type(error).__name__)

    def _call(self, call: Callable[[], V], made: "Future[V]") -> "Future[V]":
        """Queue a call for the cache's own thread, which alone may hang: in a name's look-up, say."""

        def run() -> None:
            if not made.set_running_or_notify_cancel():
                return
            try:
                made.set_result(call())
            # Carried to who waits for it; this thread must live on.
            except Exception as error:  # noqa: BLE001
                made.set_exception(error)

        self._calls.put_nowait(run)
        return made

    def _work(self) -> None:
        while True:
            self._calls.get()()


def _is_sound(answer: Answer) -> bool:
    """Say whether every value is a number: what a broken pass gave must not be given again."""
    return all(bool(np.isfinite(part).all()) for part in answer.values())


def _derived(secret: bytes, use: str) -> bytes:
    """Derive a secret for one use, so that the vault's key itself is never a key of two things."""
    return hmac.digest(secret, f"radstream prediction cache, version 1: {use}".encode(), "sha256")
