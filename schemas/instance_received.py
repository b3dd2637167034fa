"""An image is durable and may be read by its claim check. Says nothing of the study being complete."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from schemas.words import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceReceived:
    """An image is durable and may be read by its claim check. Says nothing of the study being complete.

    Each field's meaning and unit stand in `schemas/avro/InstanceReceived.avsc`.
    """

    event_id: UUID
    instance_pseudonym: str
    study_pseudonym: str
    patient_pseudonym: str | None = None
    key_id: str
    revision: int
    supersedes: UUID | None = None
    object_bucket: str
    object_key: str
    size_bytes: int
    sha256: str
    transfer_syntax_uid: str
    sop_class_uid: str
    lane: Lane
    site: str
    received_at: datetime
    calling_ae: str
    modality: str | None = None
    body_part: str | None = None
    view_position: str | None = None
    manufacturer: str | None = None
    model_name: str | None = None
    station_hash: str | None = None
    sex: str | None = None
    age_band: str | None = None
    identity_changed: bool = False
