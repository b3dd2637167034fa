"""Time passes: lets streams emit open windows and close quiet panes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time passes: lets streams emit open windows and close quiet panes.

    Each field's meaning and unit stand in `schemas/avro/Tick.avsc`.
    """

    tick_at: datetime
    partition: int
    watermarks: Mapping[str, int] = field(default_factory=dict)
    complete_until: datetime | None = None
