"""The whole cumulative pane of one source partition, slice and minute: never an increment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Counts over fixed edges, which merge exactly."""

    edges: Sequence[float]  # ascending, in the feature's unit; empty for categories
    counts: Mapping[str, int]  # under, b0, b1 .., over, nan for numbers; the value itself for categories


@dataclass(frozen=True, slots=True, kw_only=True)
class PaneUpdated:
    """The whole cumulative pane of one source partition, slice and minute: never an increment.

    Each field's meaning and unit stand in `schemas/avro/PaneUpdated.avsc`.
    """

    model: str
    model_version: str
    slice: str
    pane_start: datetime
    source_topic: str
    source_partition: int
    last_offset: int
    n: int
    histograms: Mapping[str, Histogram]
