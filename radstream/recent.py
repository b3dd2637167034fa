"""The newest results in Redis: what must be fast. It may be lost at any time, and nobody waits for it."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from radstream.logs import get_log
from radstream.settings import Settings
from schemas.inference_completed import InferenceCompleted

#: How many results are kept (count), and for how long when none comes (seconds).
KEPT = 1_000
KEPT_SECONDS = 24 * 60 * 60

_TIMEOUT_SECONDS = 0.2
#: After a failure Redis is left alone for this long, so that a dead one costs a timeout a second at most.
_REST_SECONDS = 1.0

_ORDER = "radstream:recent:order"
_BODIES = "radstream:recent:bodies"
_SHOWN = (
    "result_id", "result_revision", "study_pseudonym", "instance_pseudonym", "model", "model_version", "outcome",
    "finding", "probabilities", "needs_review", "reason", "lane", "site", "received_at", "completed_at",
)  # fmt: skip


class Recent:
    """The newest results, newest first. Neither call raises or blocks for longer than a fifth of a second."""

    def __init__(self, settings: Settings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._not_before = 0.0
        self._client = redis.Redis.from_url(
            settings.redis_url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )

    def add(self, results: Sequence[InferenceCompleted]) -> bool:
        """Put results in; say whether Redis took them."""

        def put() -> None:
            pipe = self._client.pipeline(transaction=False)
            pipe.zadd(_ORDER, {str(one.result_id): one.completed_at.timestamp() for one in results})
            pipe.hset(_BODIES, mapping={str(one.result_id): json.dumps(_body(one)) for one in results})
            pipe.expire(_ORDER, KEPT_SECONDS)
            pipe.expire(_BODIES, KEPT_SECONDS)
            pipe.execute()
            if old := cast("list[str]", self._client.zrange(_ORDER, 0, -KEPT - 1)):
                self._client.zrem(_ORDER, *old)
                self._client.hdel(_BODIES, *old)

        return self._tried(put) is None if results else True

    def newest(self, count: int = 50) -> list[dict[str, Any]]:
        """Give up to `count` results, newest first; none when Redis is away."""

        def get() -> list[dict[str, Any]]:
            ids = cast("list[str]", self._client.zrevrange(_ORDER, 0, count - 1))
            bodies = cast("list[str | None]", self._client.hmget(_BODIES, ids)) if ids else []
            return [json.loads(body) for body in bodies if body is not None]

        found = self._tried(get)
        return found if isinstance(found, list) else []

    def _tried(self, call: Callable[[], Any]) -> Any:
        """Call, and give the error instead of raising it."""
        if self._monotonic() < self._not_before:
            return False
        try:
            return call()
        except (redis.RedisError, OSError) as error:
            self._not_before = self._monotonic() + _REST_SECONDS
            get_log().warning("recent results not kept", cause="redis_down")
            return error


def _body(one: InferenceCompleted) -> dict[str, Any]:
    shown = {name: getattr(one, name) for name in _SHOWN}
    plain = (int, float, dict, type(None))
    return {name: value if isinstance(value, plain) else str(value) for name, value in shown.items()}
