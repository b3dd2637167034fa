"""What a group tells Prometheus."""

from collections.abc import Mapping

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from radstream.broker import Partition
from schemas.inference_completed import InferenceCompleted

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Instruments:
    """The meters of one process. Labels are groups, stages, outcomes and codes: never identifiers."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._lag = Gauge(
            "radstream_lag_messages", "Messages between what was done and the last stable offset", ["group"],
            registry=registry,
        )  # fmt: skip
        self._batches = Histogram(
            "radstream_commit_seconds", "Time to make a batch final", ["group"], buckets=_SECONDS, registry=registry
        )
        self._messages = Counter("radstream_messages_done", "Messages made final", ["group"], registry=registry)
        self._aborts = Counter("radstream_batches_taken_back", "Batches aborted", ["group"], registry=registry)
        self._stage = Histogram(
            "radstream_stage_seconds", "Time of an image in each stage", ["stage", "lane"], buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._results = Counter(
            "radstream_results", "Results made, before their commit", ["model", "version", "outcome", "reason", "lane"],
            registry=registry,
        )  # fmt: skip

    def lag(self, group: str, undelivered: Mapping[Partition, int], in_hand: int) -> None:
        """Set a group's lag."""
        self._lag.labels(group).set(sum(undelivered.values()) + in_hand)

    def published(self, group: str, messages: int, seconds: float) -> None:
        """Count a batch that became final."""
        self._messages.labels(group).inc(messages)
        self._batches.labels(group).observe(seconds)

    def aborted(self, group: str) -> None:
        """Count a batch that was taken back."""
        self._aborts.labels(group).inc()

    def result(self, made: InferenceCompleted) -> None:
        """Count a result and its stages."""
        self._results.labels(made.model, made.model_version, made.outcome, made.reason or "", made.lane).inc()
        for stage, milliseconds in made.stage_ms.items():
            self._stage.labels(stage, made.lane).observe(milliseconds / 1000)
