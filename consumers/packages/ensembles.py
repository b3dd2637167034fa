"""Ensembles: several packages of a model that answer as one (Lakshminarayanan et al. 2017, "Deep Ensembles"). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

#: What an ensemble's manifest says where another names its network.
ENSEMBLE = "ensemble"
#: Two are the fewest; more than eight gain next to nothing, and each costs a forward pass (count).
FEWEST, MOST = 2, 8


@dataclass(frozen=True, slots=True)
class Member:
    """A package that answers in an ensemble: its version, and the SHA-256 (hex) of its manifest.json."""

    version: str
    digest: str


def ensemble_version(members: Sequence[Member], temperature: float, threshold: float) -> str:
    """Name an ensemble by what its answers depend on, and by nothing else: nobody chooses the name.

    The release is the newest of its members'; the rest is the beginning of a SHA-256. The order counts: the first
    member's projection is the ensemble's.

    >>> ensemble_version([Member("1.0.0", "a" * 64), Member("1.2.0-int8", "b" * 64)], 1.0, 0.5)
    '1.2.0-ensemble.6919a1d1ca9f'
    """
    release = max(tuple(map(int, one.version.partition("-")[0].split("."))) for one in members)
    lines = [*(f"{one.version} {one.digest}" for one in members), f"{temperature!r} {threshold!r}"]
    name = sha256("\n".join(lines).encode()).hexdigest()[:12]
    return f"{'.'.join(map(str, release))}-{ENSEMBLE}.{name}"
