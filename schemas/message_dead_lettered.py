"""A record that could not be handled, with its original bytes."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDeadLettered:
    """A record that could not be handled, with its original bytes.

    Each field's meaning and unit stand in `schemas/avro/MessageDeadLettered.avsc`.
    """

    id: UUID
    group: str
    source_topic: str
    partition: int
    offset: int
    event_id: UUID | None = None
    cause: str
    attempts: int
    first_seen: datetime
    original: bytes
    encrypted: bool = False
