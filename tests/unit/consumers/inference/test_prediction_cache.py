"""The prediction cache: bit for bit what the engine gave, never a wait, never somebody else's answer."""

import hashlib
import hmac
import os
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from consumers.inference.kept_answer import MAX_BYTES, Answer, NoAnswer, from_bytes, to_bytes
from consumers.inference.prediction_cache import Meters, Patience, PredictionCache
from radstream.kept_values import Bounds, MemoryValues, RedisValues
from schemas.errors import RedisDown
from tests.running import until

SECRET = bytes(32)
MODEL = "digest onnxruntime"
TENSOR = np.linspace(-2, 2, 3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)
ANSWER: Answer = {"logits": np.array([0.25, -1e-30], np.float32), "projection": np.arange(16, dtype=np.float32)}
#: A loaded machine is no slow store.
PATIENT = Patience(wait_seconds=20, rest_seconds=5)


@dataclass(slots=True)
class Store:
    """A store in memory that can be away, or hang."""

    inner: MemoryValues = field(default_factory=lambda: MemoryValues(Bounds()))
    away: bool = False
    hangs: threading.Event | None = None
    asked: int = 0
    puts: int = 0

    def get(self, keys: Sequence[str]) -> list[bytes | None]:
        self.asked += 1
        self._answer()
        return self.inner.get(keys)

    def put(self, values: Mapping[str, bytes]) -> None:
        self._answer()
        self.inner.put(values)
        self.puts += 1

    def _answer(self) -> None:
        if self.hangs is not None:
            self.hangs.wait(60)
        if self.away:
            raise RedisDown("away")


@dataclass(slots=True)
class Desk:
    """A cache, its store, its clock and its meters."""

    store: Store = field(default_factory=Store)
    now: float = 0.0
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def cache(self, patience: Patience = PATIENT, secret: bytes = SECRET) -> PredictionCache:
        return PredictionCache(self.store, secret, patience, Meters(self.registry), lambda: self.now)

    def keep(self, cache: PredictionCache, *answers: tuple[str, Answer]) -> None:
        before = self.store.puts
        cache.put(answers)
        until(lambda: self.store.puts > before, 20, "not put")

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"radstream_prediction_cache{name}_total", labels) or 0.0


@pytest.fixture
def desk() -> Desk:
    """Give a fresh one."""
    return Desk()


def same_bits(one: Answer | None, other: Answer) -> bool:
    """Compare bit for bit: -0.0 is not 0.0."""
    return one is not None and {n: (v.shape, v.tobytes()) for n, v in one.items()} == {
        n: (v.shape, v.tobytes()) for n, v in other.items()
    }


def test_a_kept_answer_comes_back_bit_for_bit(desk: Desk) -> None:
    """The same input and model are answered as the engine answered them."""
    cache = desk.cache()
    key = cache.key(MODEL, TENSOR)
    assert cache.get([key]) == [None]
    desk.keep(cache, (key, ANSWER))

    (found,) = cache.get([cache.key(MODEL, TENSOR.copy())])

    assert same_bits(found, ANSWER)
    assert (desk.count("", outcome="hit"), desk.count("", outcome="miss")) == (1, 1)


@pytest.mark.parametrize(
    "key",
    [
        lambda: Desk().cache().key("another package", TENSOR),
        lambda: Desk().cache().key(MODEL, np.nextafter(TENSOR, np.float32(9))),
        lambda: Desk().cache().key(MODEL, TENSOR.reshape(3, 5, 4)),
        lambda: Desk().cache(secret=bytes(31) + b"1").key(MODEL, TENSOR),
    ],
    ids=["package", "one bit", "shape", "secret"],
)
def test_whatever_the_answer_depends_on_makes_another_key(key: Callable[[], str]) -> None:
    """Package, each bit of the input, its shape, and the site's secret."""
    assert key() != Desk().cache().key(MODEL, TENSOR)


def test_an_answer_put_under_another_key_is_refused(desk: Desk) -> None:
    """Who writes to the store can't give one image's answer to another."""
    cache = desk.cache()
    ours, other = cache.key(MODEL, TENSOR), cache.key(MODEL, TENSOR + 1)
    desk.keep(cache, (other, ANSWER))
    desk.store.inner.put({ours: desk.store.inner.get([other])[0] or b""})

    assert cache.get([ours]) == [None]
    assert desk.count("_errors", cause="refused") == 1


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_changed_bit_is_refused(at: int, bit: int) -> None:
    """Every bit of a kept answer is covered by its tag."""
    written = bytearray(to_bytes(ANSWER, "key", SECRET))
    written[at % len(written)] ^= 1 << bit

    with pytest.raises(NoAnswer):
        from_bytes(bytes(written), "key", SECRET)


@given(arrays(np.float32, array_shapes(min_dims=0, max_dims=4, max_side=5), elements=st.floats(width=32)))
def test_any_array_survives(values: NDArray[np.float32]) -> None:
    """Whatever its shape and its bits."""
    answer = {"logits": values, "map": values[..., None].astype(np.float32) if values.ndim < 4 else values}

    assert same_bits(from_bytes(to_bytes(answer, "key", SECRET), "key", SECRET), answer)


@pytest.mark.parametrize(
    "answer",
    [{"logits": np.zeros(2)}, {"map": np.zeros(MAX_BYTES // 4, np.float32)}, {"n" * 33: np.zeros(2, np.float32)}],
    ids=["float64", "too large", "long name"],
)
def test_what_has_no_form_is_not_kept(desk: Desk, answer: Answer) -> None:
    """It is counted, and nothing raises."""
    desk.cache().put([("key", answer)])

    assert desk.count("_errors", cause="unfit") == 1


@pytest.mark.parametrize("kept", [b"", bytes(10), os.urandom(200), bytes(MAX_BYTES + 1)])
def test_rubbish_is_a_miss(desk: Desk, kept: bytes) -> None:
    """Values that we did not write are refused, of any size."""
    cache = desk.cache()
    key = cache.key(MODEL, TENSOR)
    desk.store.inner.put({key: kept})

    assert cache.get([key]) == [None]


def test_another_version_of_the_form_is_refused() -> None:
    """Even with a right tag: its fields may mean something else."""
    written = to_bytes({}, "key", SECRET)
    body = struct.pack("BB", written[0] + 1, 0)
    tag = hmac.digest(SECRET, b"key\0" + body, hashlib.sha256)

    with pytest.raises(NoAnswer, match="version"):
        from_bytes(body + tag, "key", SECRET)


def test_an_answer_that_is_no_number_is_not_kept(desk: Desk) -> None:
    """What a broken pass gave is not given again."""
    cache = desk.cache()
    key, other = cache.key(MODEL, TENSOR), cache.key(MODEL, TENSOR + 1)

    desk.keep(cache, (key, {"logits": np.array([np.nan, 0], np.float32)}), (other, ANSWER))

    assert [one is None for one in cache.get([key, other])] == [True, False]


def test_a_store_that_is_away_is_left_alone_for_a_while(desk: Desk) -> None:
    """One failed call, then none until the rest is over; meanwhile all is answered as a miss."""
    cache = desk.cache()
    key = cache.key(MODEL, TENSOR)
    desk.keep(cache, (key, ANSWER))
    desk.store.away = True
    assert cache.get([key, key]) == [None, None]
    desk.store.away = False

    assert cache.get([key]) == [None]
    cache.put([(key, ANSWER)])
    desk.now += PATIENT.rest_seconds
    assert same_bits(cache.get([key])[0], ANSWER)
    assert desk.store.asked == 2
    assert (desk.count("", outcome="miss"), desk.count("", outcome="resting")) == (2, 1)
    assert desk.count("_errors", cause="away") == 1


def test_a_failed_put_rests_too(desk: Desk) -> None:
    """A store that takes nothing is not asked either."""
    cache = desk.cache()
    desk.store.away = True
    cache.put([("key", ANSWER)])
    until(lambda: desk.count("_errors", cause="away") == 1, 20, "not noticed")

    assert cache.get(["key"]) == [None]
    assert desk.store.asked == 0


def test_a_store_that_hangs_holds_nobody(desk: Desk) -> None:
    """Neither a look-up nor a put waits for it: a name's look-up may hang for longer than any time-out of a socket."""
    desk.store.hangs = threading.Event()
    cache = desk.cache(Patience(wait_seconds=0.05, rest_seconds=5))
    answered = threading.Event()

    def ask() -> None:
        cache.get(["key"])
        for _ in range(200):
            desk.now += 10
            cache.put([("key", ANSWER)])
        answered.set()

    threading.Thread(target=ask, daemon=True).start()
    in_time = answered.wait(30)
    desk.store.hangs.set()

    assert in_time
    assert desk.count("_errors", cause="full") > 0


def test_no_redis_is_redis_down() -> None:
    """Whatever the client raises is one error of ours, with the setting's name and without the address."""
    values = RedisValues("redis://:secret@127.0.0.1:9/0", "test", Bounds())

    with pytest.raises(RedisDown, match="RADSTREAM_REDIS_URL") as caught:
        values.get(["key"])

    assert "secret" not in str(caught.value)
