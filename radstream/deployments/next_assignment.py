"""What a wish makes of a model's assignment: pure, from the history to the parts of the next record."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from radstream.deployments.assignments import versions_of
from schemas.errors import DeploymentRefused
from schemas.model_deployed import ModelDeployed


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Who does what: the parts of a record that a wish changes."""

    champion: str
    canary: str | None = None
    canary_share: float = 0.0
    shadow: str | None = None
    withdrawn: tuple[str, ...] = ()

    @classmethod
    def of(cls, one: ModelDeployed) -> Self:
        """Take a record's parts."""
        return cls(
            champion=one.champion,
            canary=one.canary,
            canary_share=one.canary_share,
            shadow=one.shadow,
            withdrawn=tuple(one.withdrawn),
        )

    def deploy(self, version: str) -> "Parts":
        """Let a version answer all studies. A canary ends; a withdrawal of this version is lifted, on purpose."""
        return replace(
            self,
            champion=version,
            canary=None,
            canary_share=0.0,
            shadow=None if self.shadow == version else self.shadow,
            withdrawn=_without(self.withdrawn, version),
        )

    def show_unseen(self, version: str | None) -> "Parts":
        """Let a version look at all images unseen; None ends that. Raises DeploymentRefused for one that answers."""
        if version is not None and version in {self.champion, self.canary}:
            raise DeploymentRefused(f"{version} answers already: a shadow is another version")
        return replace(self, shadow=version, withdrawn=_without(self.withdrawn, version))

    def share(self, version: str, share: float) -> "Parts":
        """Let a version answer a share of the studies (0 to 1), 0 ends that; raises DeploymentRefused."""
        if version == self.champion:
            raise DeploymentRefused(f"{version} is the champion: a canary is another version")
        if not 0 <= share <= 1:
            raise DeploymentRefused(f"a share of {share} is none: 0 to 1, as in --share 0.1")
        if share == 0:
            return replace(self, canary=None, canary_share=0.0)
        return replace(
            self,
            canary=version,
            canary_share=share,
            shadow=None if self.shadow == version else self.shadow,
            withdrawn=_without(self.withdrawn, version),
        )


def without(past: Sequence[ModelDeployed], version: str) -> Parts:
    """Withdraw a version, whatever part it plays: where it is the champion the one before it comes back.

    Raises DeploymentRefused where no champion before it is left.
    """
    now = past[-1]
    withdrawn = (*_without(tuple(now.withdrawn), version), version)
    before = (one.champion for one in reversed(past) if one.champion not in withdrawn)
    champion = next(before, None)
    if champion is None:
        raise DeploymentRefused(f"{now.model} {version} has no champion before it: deploy another version first")
    canary = now.canary if now.canary not in {version, champion} else None
    return Parts(
        champion=champion,
        canary=canary,
        canary_share=now.canary_share if canary else 0.0,
        shadow=now.shadow if now.shadow not in {version, champion} else None,
        withdrawn=withdrawn,
    )


def rollback(past: Sequence[ModelDeployed]) -> Parts:
    """Withdraw what came last: the canary where there is one, else the champion; raises DeploymentRefused."""
    return without(past, past[-1].canary or past[-1].champion)


def newly_named(past: Sequence[ModelDeployed], parts: Parts) -> frozenset[str]:
    """Name the versions that the next record lets look at images and the newest one does not."""
    named = {version for version in (parts.champion, parts.canary, parts.shadow) if version is not None}
    return frozenset(named - (versions_of(past[-1]) if past else frozenset()))


def _without(withdrawn: tuple[str, ...], version: str | None) -> tuple[str, ...]:
    return tuple(one for one in withdrawn if one != version)
