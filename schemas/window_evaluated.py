"""The statistics of one window, slice and model version; a higher revision replaces a lower one under the same id."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from schemas.words import DriftKind


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowEvaluated:
    """The statistics of one window, slice and model version; a higher revision replaces a lower one under the same id.

    Each field's meaning and unit stand in `schemas/avro/WindowEvaluated.avsc`.
    """

    window_id: UUID
    revision: int
    closed: bool
    model: str
    model_version: str
    slice: str
    window_seconds: int
    window_start: datetime
    window_end: datetime
    n: int
    statistics: Mapping[str, float]
    in_control: bool | None = None
    kind: DriftKind | None = None
    late: int = 0
