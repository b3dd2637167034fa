"""The topics, as data: `radstream up` creates them and a test compares this table with the broker."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.words import Lane

RECEIVED_STAT = "imaging.instance-received.stat"
RECEIVED_ROUTINE = "imaging.instance-received.routine"
#: Where the images of a lane stand.
RECEIVED_OF: Mapping[Lane, str] = {Lane.STAT: RECEIVED_STAT, Lane.ROUTINE: RECEIVED_ROUTINE}
COMPLETED = "inference.completed"
SHADOWED = "inference.shadowed"
REPLAYED = "inference.replayed"
PANE_UPDATED = "drift.pane-updated"
TICK = "drift.tick"
WINDOW_EVALUATED = "drift.window-evaluated"
DEAD_LETTERED = "message.dead-lettered"
MODEL_DEPLOYED = "model.deployed"

#: Topics that share the study's key share their partition count.
STUDY_PARTITIONS = 4
#: Panes and windows are keyed by slice.
SLICE_PARTITIONS = 4

#: Faust's name for this system: the prefix of its changelog topics and its consumer group.
STREAMS_APP = "streams"
PANES_TABLE = "panes"
WINDOWS_TABLE = "windows"

_DAY_MS = 24 * 60 * 60 * 1000

#: The newest segment is never compacted: short ones keep what a restarted worker must read small.
_COMPACTED = {"cleanup.policy": "compact", "segment.ms": "600000", "min.cleanable.dirty.ratio": "0.1"}


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: what it holds, how it is keyed, how it is kept."""

    name: str
    record: str | None  # name of the Avro record; None for Faust's own bytes
    key: str
    partitions: int
    retention_ms: int | None = None  # None: for ever
    compacted: bool = False

    @property
    def config(self) -> dict[str, str]:
        """The broker's settings of this topic (Kafka's names)."""
        if self.compacted:
            return _COMPACTED
        return {"cleanup.policy": "delete", "retention.ms": str(-1 if self.retention_ms is None else self.retention_ms)}


def changelog(table: str) -> str:
    """Name the topic behind a Faust table, as Faust does."""
    return f"{STREAMS_APP}-{table}-changelog"


TOPICS: tuple[Topic, ...] = (
    Topic(RECEIVED_STAT, "InstanceReceived", "study", STUDY_PARTITIONS, 30 * _DAY_MS),
    Topic(RECEIVED_ROUTINE, "InstanceReceived", "study", STUDY_PARTITIONS, 30 * _DAY_MS),
    Topic(COMPLETED, "InferenceCompleted", "study", STUDY_PARTITIONS, 365 * _DAY_MS),
    Topic(SHADOWED, "InferenceCompleted", "study", STUDY_PARTITIONS, 30 * _DAY_MS),
    Topic(REPLAYED, "InferenceCompleted", "study", STUDY_PARTITIONS, 30 * _DAY_MS),
    Topic(PANE_UPDATED, "PaneUpdated", "slice", SLICE_PARTITIONS, 14 * _DAY_MS),
    Topic(TICK, "Tick", "partition", STUDY_PARTITIONS, _DAY_MS),
    Topic(WINDOW_EVALUATED, "WindowEvaluated", "slice", SLICE_PARTITIONS, 365 * _DAY_MS),
    Topic(DEAD_LETTERED, "MessageDeadLettered", "id", STUDY_PARTITIONS, 90 * _DAY_MS),
    Topic(MODEL_DEPLOYED, "ModelDeployed", "model", 1),
    Topic(changelog(PANES_TABLE), None, "source partition and slice", STUDY_PARTITIONS, compacted=True),
    Topic(changelog(WINDOWS_TABLE), None, "slice", SLICE_PARTITIONS, compacted=True),
)

RECORD_OF: dict[str, str] = {topic.name: topic.record for topic in TOPICS if topic.record is not None}


def subject(topic: str) -> str:
    """Name a topic's subject in the registry (TopicNameStrategy).

    >>> subject("inference.completed")
    'inference.completed-value'
    """
    return f"{topic}-value"
