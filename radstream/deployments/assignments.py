"""Which version of a model answers an image: a function of the deployments, the study and the receipt (promise 5).

Readers of the same records agree, whatever they have seen before: here is no memory, no clock and no random number.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from schemas.model_deployed import ModelDeployed
from schemas.words import Role

_SPAN = 2**64


@dataclass(frozen=True, slots=True)
class Chosen:
    """A version, the part in which it answers, and the deployment that says so."""

    version: str
    role: Role
    revision: int


def history(records: Iterable[ModelDeployed], model: str) -> tuple[ModelDeployed, ...]:
    """Give a model's assignments out of the log's records, in the log's order, without those that are void.

    Of two that raced the first in the log has the right `expected_previous`; the other never counts, for anybody.
    A record that withdraws its own champion or canary, or has a share outside of 0 to 1, is void too.
    """
    valid: list[ModelDeployed] = []
    for one in records:
        revision = valid[-1].revision if valid else 0
        if one.model == model and (one.expected_previous, one.revision) == (revision, revision + 1) and _sound(one):
            valid.append(one)
    return tuple(valid)


def choose(past: Sequence[ModelDeployed], study: str, received_at: datetime) -> Chosen | None:
    """Say which version answers an image, by a model's history; None where there is no deployment.

    1. in force is the highest revision that was effective at the receipt, before all of them the first one
    2. its canary answers the share of the studies that `is_canary` says, else its champion
    3. what the newest record withdraws answers no more: the next revision that names another version does

    `received_at` is UTC. The newest record's champion is never withdrawn, so there is always one.
    """
    if not past:
        return None
    withdrawn = frozenset(past[-1].withdrawn)
    first = max((place for place, one in enumerate(past) if one.effective_from <= received_at), default=0)
    named = (_named(one, study) for one in past[first:])
    return next(one for one in named if one.version not in withdrawn)


def shadow_of(past: Sequence[ModelDeployed], received_at: datetime, visible: str) -> Chosen | None:
    """Say which version looks at an image unseen, beside the `visible` one; None for none."""
    in_force = next((one for one in reversed(past) if one.effective_from <= received_at), None)
    if in_force is None or in_force.shadow in {None, visible, *past[-1].withdrawn}:
        return None
    return Chosen(str(in_force.shadow), Role.SHADOW, in_force.revision)


def is_canary(model: str, version: str, study: str, share: float) -> bool:
    """Say whether a study belongs to a canary's share (0 to 1).

    By the first 64 bits of SHA-256(model, version, study pseudonym; separated by newlines) as a fraction of 2^64: no
    study leaves the canary while its share only grows, and another canary gets other studies.

    >>> [is_canary("m", "2.0.0", "2.25.1", share) for share in (0.0, 0.75, 1.0)]
    [False, True, True]
    """
    digest = sha256(f"{model}\n{version}\n{study}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * _SPAN


def versions_of(one: ModelDeployed) -> frozenset[str]:
    """Name the versions that an assignment lets look at images."""
    return frozenset(version for version in (one.champion, one.canary, one.shadow) if version is not None)


def _named(one: ModelDeployed, study: str) -> Chosen:
    if one.canary is not None and is_canary(one.model, one.canary, study, one.canary_share):
        return Chosen(one.canary, Role.CANARY, one.revision)
    return Chosen(one.champion, Role.CHAMPION, one.revision)


def _sound(one: ModelDeployed) -> bool:
    return 0 <= one.canary_share <= 1 and one.champion != "" and not versions_of(one) & set(one.withdrawn)
