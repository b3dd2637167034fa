"""What decides answers: the listener's terms, and who asks."""

from collections.abc import Sequence
from dataclasses import dataclass

from dicom_listener.receiving.routes import Route
from schemas.words import Lane

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What decides answers."""

    policy: str  # published or spool
    deadline_seconds: float
    shed_percent: float
    refuse_percent: float
    routes: Sequence[Route]
    lenient_syntaxes: frozenset[str] | None  # the standard ones; None: the others are not accepted anyway
    processes: int = 1  # that share the spool's file system


@dataclass(frozen=True, slots=True)
class Sender:
    """Who talks to us, trimmed, and what they asked for outright."""

    calling_ae: str
    called_ae: str
    lane: Lane | None = None  # goes before the routes'
    study_instance_uid: str | None = None  # the only study that the sender may add to
