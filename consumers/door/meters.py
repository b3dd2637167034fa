"""What the door tells Prometheus."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class DoorMeters:
    """The meters of the door. Labels are paths of ours and statuses."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._requests = Counter(
            "radstream_predict_requests", "Requests answered", ["path", "status"], registry=registry
        )
        self._images = Counter(
            "radstream_predict_images", "Images answered", ["lane", "outcome", "reason"], registry=registry
        )
        self._in_hand = Gauge(
            "radstream_predict_requests_in_hand", "Requests being read or answered", registry=registry
        )
        self._seconds = Histogram(
            "radstream_predict_seconds", "Time of a request, its body's arrival included", buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip

    @contextmanager
    def in_hand(self) -> Iterator[None]:
        """Count a request while the block runs."""
        began = time.monotonic()
        with self._in_hand.track_inprogress():
            yield
        self._seconds.observe(time.monotonic() - began)

    def request(self, path: str, status: str) -> None:
        """Count a request by its path (of ours) and status."""
        self._requests.labels(path, status).inc()

    def image(self, lane: str, outcome: str, reason: str) -> None:
        """Count an image by what became of it."""
        self._images.labels(lane, outcome, reason).inc()
