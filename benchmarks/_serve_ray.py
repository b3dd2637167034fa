"""Ray Serve around the bare loop's worker; benchmarks/peers.py starts it in an environment of its own."""

import signal
from typing import Any

import numpy as np
import ray  # type: ignore[import-not-found] # stands in that environment alone
from _serving import Order, event_of, order
from ray import serve

#: Ray's shared memory for objects (bytes): requests and answers here are small and pass it by.
_OBJECT_STORE_BYTES = 100 * 1024 * 1024
_LOGICAL_CPUS = 8  # replicas are placed by this count; the kernel shares the true cores


class Radiographs:
    """A claim check in, logits out. Ray Serve runs one of it in each replica."""

    def __init__(self, wanted: Order) -> None:
        self._worker = wanted.worker()
        self._batched = wanted.flags["max_batch_size"] > 1
        self._batch.set_max_batch_size(wanted.flags["max_batch_size"])
        self._batch.set_batch_wait_timeout_s(wanted.flags.get("batch_wait_timeout_s", 0.0))

    async def __call__(self, request: Any) -> dict[str, list[float]]:
        """Answer a request, in a batch where one is wanted."""
        asked = await request.json()
        return {"logits": await self._batch(asked) if self._batched else self._answer([asked])[0]}

    @serve.batch  # type: ignore[untyped-decorator] # as above
    async def _batch(self, asked: list[Any]) -> list[list[float]]:
        return self._answer(asked)

    def _answer(self, asked: list[Any]) -> list[list[float]]:
        tensors = [self._worker.tensor(event_of(one)) for one in asked]
        return [[float(logit) for logit in row] for row in self._worker.logits(np.stack(tensors))]


def main() -> None:
    """Serve until told to end."""
    wanted = order()
    told = {signal.SIGTERM, signal.SIGINT}
    ray.init(
        address="local",
        num_cpus=_LOGICAL_CPUS,
        object_store_memory=_OBJECT_STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=str(wanted.folder),
    )
    serve.start(http_options={"host": "127.0.0.1", "port": wanted.port})
    deployment = serve.deployment(
        num_replicas=wanted.flags["num_replicas"],
        max_ongoing_requests=wanted.flags["max_ongoing_requests"],
        ray_actor_options={"num_cpus": 1},
    )(Radiographs)
    serve.run(deployment.bind(wanted), route_prefix="/predict")
    signal.pthread_sigmask(signal.SIG_BLOCK, told)
    signal.sigwait(told)
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
