"""LitServe around the bare loop's worker; benchmarks/peers.py starts it in an environment of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import litserve  # type: ignore[import-not-found] # stands in that environment alone
import numpy as np
from _serving import Order, event_of, order
from numpy.typing import NDArray


class Radiographs(litserve.LitAPI):  # type: ignore[misc] # as above
    """A claim check in, logits out. LitServe runs one of it in each worker process."""

    def __init__(self, wanted: Order, **flags: Any) -> None:
        super().__init__(**flags)
        self._order = wanted

    def setup(self, device: str) -> None:  # noqa: ARG002 - the worker knows its engine
        """Load the model."""
        self._worker = self._order.worker()

    def decode_request(self, request: Mapping[str, Any]) -> NDArray[np.float32]:
        """Get, check and decode the object, [3, H, W]."""
        return self._worker.tensor(event_of(request))

    def batch(self, inputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Stack images, [N, 3, H, W]."""
        return np.stack(inputs)

    def predict(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run one image, or a batch."""
        return self._worker.logits(x) if x.ndim == 4 else self._worker.logits(x[None])[0]

    def unbatch(self, output: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Give each image its row."""
        return list(output)

    def encode_response(self, output: NDArray[np.float32]) -> dict[str, list[float]]:
        """Give what becomes JSON."""
        return {"logits": output.tolist()}


def main() -> None:
    """Serve until told to end."""
    wanted = order()
    flags = dict(wanted.flags)
    api = {name: flags.pop(name) for name in ("max_batch_size", "batch_timeout") if name in flags}
    servers = flags.pop("num_api_servers")
    server = litserve.LitServer(Radiographs(wanted, **api), accelerator="cpu", **flags)
    server.run(
        host="127.0.0.1",
        port=wanted.port,
        num_api_servers=servers,
        generate_client_file=False,
        log_level="error",
        access_log=False,
    )


if __name__ == "__main__":
    main()
