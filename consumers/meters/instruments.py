"""What a group tells Prometheus."""

from collections.abc import Callable, Mapping

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from radstream.broker.contract import Partition
from radstream.lag.lag import lane_of
from schemas.inference_completed import InferenceCompleted
from schemas.words import Lane

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)


class Instruments:
    """The meters of one process. Labels are groups, stages, outcomes and codes: never identifiers.

    Stages of an image: queue, fetch, decode, batch, forward (`stage_ms` of its result), encode, commit.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._lag = Gauge(
            "radstream_member_lag_messages", "Messages of this member's partitions that are not done yet (count)",
            ["group"], registry=registry,
        )  # fmt: skip
        self._queues = Gauge(
            "radstream_queue_depth", "What waits in each queue of the pipeline (count)", ["queue", "lane"],
            registry=registry,
        )  # fmt: skip
        self._commits = Histogram(
            "radstream_commit_seconds", "Time to make a batch final", ["group"], buckets=_SECONDS, registry=registry
        )
        self._batches = Histogram(
            "radstream_batch_images", "Images of one forward pass (count)", ["model"], buckets=_IMAGES,
            registry=registry,
        )  # fmt: skip
        self._messages = Counter("radstream_messages_done", "Messages made final", ["group"], registry=registry)
        self._aborts = Counter("radstream_batches_taken_back", "Batches aborted", ["group"], registry=registry)
        self._breakers = Gauge(
            "radstream_breaker_open", "1 while a group's breaker is open", ["group"], registry=registry
        )
        self._stage = Histogram(
            "radstream_stage_seconds", "Time of an image in each stage", ["stage", "lane"], buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._results = Counter(
            "radstream_results", "Results made, before their commit", ["model", "version", "outcome", "reason", "lane"],
            registry=registry,
        )  # fmt: skip

    def lag(self, group: str, undelivered: Mapping[Partition, int], in_hand: int) -> None:
        """Set a member's lag, and how many messages it has in hand."""
        self._lag.labels(group).set(sum(undelivered.values()) + in_hand)
        self._queues.labels("in_hand", lane_of(group) or "").set(in_hand)

    def queue(self, name: str, depth: Callable[[], int], lane: Lane | None = None) -> None:
        """Ask a queue for its depth whenever somebody looks; None: both lanes wait in it."""
        self._queues.labels(name, lane or "").set_function(depth)

    def batch(self, model: str, images: int) -> None:
        """Count a forward pass."""
        self._batches.labels(model).observe(images)

    def stage(self, stage: str, lane: str, seconds: float, images: int = 1) -> None:
        """Count the time that each of some images spent in a stage."""
        meter = self._stage.labels(stage, lane)
        for _ in range(images):
            meter.observe(seconds)

    def published(self, group: str, messages: int, seconds: float) -> None:
        """Count a batch that became final."""
        self._messages.labels(group).inc(messages)
        self._commits.labels(group).observe(seconds)
        if lane := lane_of(group):
            self.stage("commit", lane, seconds, messages)

    def aborted(self, group: str) -> None:
        """Count a batch that was taken back."""
        self._aborts.labels(group).inc()

    def breaker(self, group: str, *, is_open: bool) -> None:
        """Say whether a group's breaker is open."""
        self._breakers.labels(group).set(is_open)

    def result(self, made: InferenceCompleted) -> None:
        """Count a result and its stages."""
        self._results.labels(made.model, made.model_version, made.outcome, made.reason or "", made.lane).inc()
        for stage, milliseconds in made.stage_ms.items():
            self.stage(stage, made.lane, milliseconds / 1000)
