"""One visible result for an image and a model version (promise 2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from schemas.words import Lane, Outcome, Reason, ReviewReason, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceCompleted:
    """One visible result for an image and a model version (promise 2).

    Each field's meaning and unit stand in `schemas/avro/InferenceCompleted.avsc`.
    """

    result_id: UUID
    result_revision: int = 1
    supersedes: UUID | None = None
    event_id: UUID
    object_key: str
    sha256: str
    transfer_syntax_uid: str
    study_pseudonym: str
    instance_pseudonym: str
    model: str
    model_version: str
    deployment_revision: int
    role: Role
    outcome: Outcome
    probabilities: Mapping[str, float] | None = None
    finding: str | None = None
    threshold: float | None = None
    needs_review: bool
    review_reasons: Sequence[ReviewReason] = ()
    uncertainty: float | None = None
    disagreement: float | None = None
    out_of_distribution: float | None = None
    reason: Reason | None = None
    lane: Lane
    site: str
    received_at: datetime
    completed_at: datetime
    stage_ms: Mapping[str, float]
    image_statistics: Mapping[str, float] | None = None
    projection: Sequence[float] | None = None
    quality: Mapping[str, float] = field(default_factory=dict)
    acquisition: Mapping[str, float] = field(default_factory=dict)
    clock_skew_seconds: float | None = None
    identity_changed: bool = False
    heatmap_key: str | None = None
    calling_ae: str = ""
    modality: str | None = None
    manufacturer: str | None = None
    model_name: str | None = None
    station_hash: str | None = None
    view_position: str | None = None
    sex: str | None = None
    age_band: str | None = None
