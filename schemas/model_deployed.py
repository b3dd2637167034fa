"""Which versions of a model answer, from which moment on (promise 5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDeployed:
    """The whole assignment of a model; what becomes of it among others says `radstream.deployments.assignments`.

    Each field's meaning and unit stand in `schemas/avro/ModelDeployed.avsc`.
    """

    deployment_id: UUID
    model: str
    revision: int
    expected_previous: int
    champion: str
    canary: str | None = None
    canary_share: float = 0.0
    shadow: str | None = None
    withdrawn: Sequence[str] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    deployed_at: datetime
    effective_from: datetime
    reason: str = ""
    actor: str = ""
