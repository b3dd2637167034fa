"""Small values by key for a while: in Redis, and their twin in memory that passes the same contract tests.

What is kept may be lost at any time, and is bounded twice: by age and by number, the oldest go first.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

from schemas.errors import RedisDown


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is kept (count), how long (seconds), and how long a server may take for one step (seconds)."""

    values: int = 100_000
    keep_seconds: float = 7 * 24 * 60 * 60
    step_seconds: float = 0.05


class KeptValues(Protocol):
    """What the prediction cache needs of a store."""

    def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """Give each key's value, None where there is none; raise RedisDown."""

    def put(self, values: Mapping[str, bytes]) -> None:
        """Keep values under their keys, and drop what is over the bounds; raise RedisDown."""


class MemoryValues:
    """Values in this process: the twin for tests."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = time.time) -> None:
        self._bounds = bounds
        self._clock = clock
        self._kept: dict[str, tuple[float, bytes]] = {}

    def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """Give what is young enough."""
        oldest = self._clock() - self._bounds.keep_seconds
        found = (self._kept.get(key) for key in keys)
        return [one[1] if one is not None and one[0] > oldest else None for one in found]

    def put(self, values: Mapping[str, bytes]) -> None:
        """Keep, the newest last."""
        for key, value in values.items():
            self._kept.pop(key, None)
            self._kept[key] = (self._clock(), value)
        for key in list(self._kept)[: -self._bounds.values]:
            del self._kept[key]


class RedisValues:
    """Values in Redis under `<name>:<key>`, with a list of them by age at `<name>:by-age`, which bounds their number.

    Several processes may share a name. The client is loaded at the first call: it takes 20 MB.
    """

    def __init__(self, url: str, name: str, bounds: Bounds, clock: Callable[[], float] = time.time) -> None:
        self._url = url
        self._name = name
        self._by_age = f"{name}:by-age"
        self._bounds = bounds
        self._clock = clock
        self._client: Any = None

    def get(self, keys: Sequence[str]) -> list[bytes | None]:
        """Read all keys in one round trip."""
        with self._connected() as client:
            return cast("list[bytes | None]", client.mget([self._named(key) for key in keys])) if keys else []

    def put(self, values: Mapping[str, bytes]) -> None:
        """Write all values in one round trip; a second one drops what is over the number."""
        if not values:
            return
        now = self._clock()
        with self._connected() as client:
            pipe = client.pipeline(transaction=False)
            for key, value in values.items():
                pipe.set(self._named(key), value, px=int(1000 * self._bounds.keep_seconds))
            pipe.zadd(self._by_age, {self._named(key): now for key in values})
            pipe.zremrangebyscore(self._by_age, "-inf", now - self._bounds.keep_seconds)
            pipe.pexpire(self._by_age, int(1000 * self._bounds.keep_seconds))
            pipe.zrange(self._by_age, 0, -self._bounds.values - 1)
            if surplus := pipe.execute()[-1]:
                drop = client.pipeline(transaction=False)
                drop.unlink(*surplus)
                drop.zrem(self._by_age, *surplus)
                drop.execute()

    def _named(self, key: str) -> str:
        return f"{self._name}:{key}"

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        """Give the client; what it raises becomes RedisDown."""
        import redis  # noqa: PLC0415 - loaded when it is needed
        from redis.backoff import NoBackoff  # noqa: PLC0415 - as above
        from redis.retry import Retry  # noqa: PLC0415 - as above

        try:
            if self._client is None:
                self._client = redis.Redis.from_url(
                    self._url,
                    socket_timeout=self._bounds.step_seconds,
                    socket_connect_timeout=self._bounds.step_seconds,
                    retry=Retry(NoBackoff(), 0),
                )
            yield self._client
        except (redis.RedisError, OSError, ValueError) as error:
            raise RedisDown(f"no answer from RADSTREAM_REDIS_URL ({type(error).__name__})") from error
