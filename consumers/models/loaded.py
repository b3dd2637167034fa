"""Which model answers an image, and what a loaded model is."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from consumers.engines.choice import open_engine
from consumers.engines.engine import Engine
from consumers.imaging.decision import Operating
from consumers.imaging.inputs import InputSpec
from consumers.loop.headers import Address
from consumers.packages.manifest import Manifest
from consumers.packages.package import ModelPackage
from consumers.results.outcome import Answering, Named
from consumers.results.worth import Worth
from schemas.instance_received import InstanceReceived
from schemas.model_package import REFERENCE
from schemas.words import Role


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedModel:
    """One verified package in an engine that passed its self-test. Two of them never share a batch."""

    manifest: Manifest
    engine: Engine
    worth: Worth = field(default_factory=Worth)
    digest: str  # SHA-256 of manifest.json in hex, which holds the hash of every other file

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.manifest.version

    @property
    def operating(self) -> Operating:
        """How its logits are read."""
        return self.manifest.operating

    @property
    def spec(self) -> InputSpec:
        """What it reads."""
        return self.manifest.input


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Who answers an image, in which role, by which deployment (0: before any was recorded)."""

    model: LoadedModel
    role: Role = Role.CHAMPION
    deployment_revision: int = 0

    @property
    def answering(self) -> Answering:
        """What a result says of it."""
        return Answering(
            model=self.model.name,
            version=self.model.version,
            operating=self.model.operating,
            deployment_revision=self.deployment_revision,
            role=self.role,
            worth=self.model.worth,
        )


class Assignments(Protocol):
    """Who answers which image: a pure function of deployments, study and receipt."""

    def of(self, event: InstanceReceived, asked: Address) -> Sequence[Assignment]:
        """Give at least one: first the one whose result is delivered, then who answers beside it.

        Raises Unavailable where the image must wait, BadMessage for a recall that names nobody, ModelRefused.
        """

    def who(self, event: InstanceReceived, asked: Address) -> Named:
        """Name whose result is delivered, loaded or not. Never raises."""


@dataclass(frozen=True, slots=True)
class OneModel:
    """The same model for every image: what the settings name."""

    assignment: Assignment

    def of(self, event: InstanceReceived, asked: Address) -> Sequence[Assignment]:  # noqa: ARG002 - whatever is asked
        """Give that one."""
        return (self.assignment,)

    def who(self, event: InstanceReceived, asked: Address) -> Named:  # noqa: ARG002 - whatever is asked
        """Name that one."""
        return self.assignment.answering


def load_model(package: ModelPackage, engine: str | None) -> LoadedModel:
    """Load a verified package and test it; raises ModelRefused, or SettingInvalid for an engine that is absent."""
    worth = Worth.from_reference(package.read(REFERENCE))
    return LoadedModel(
        manifest=package.manifest,
        engine=open_engine(package, engine),
        worth=replace(worth, members=tuple(one.manifest.operating.threshold for one in package.members)),
        digest=package.digest,
    )
