"""Who answers an image, by the log of deployments; models change between two batches, without a restart (promise 5)."""

import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from prometheus_client import Counter, Gauge

from consumers.decoding.heap import frugal_memory
from consumers.loop.headers import Address
from consumers.models.loaded import Assignment
from consumers.models.shelf import Shelf
from consumers.results.outcome import Named
from radstream.deployments.assignments import Chosen, choose, shadow_of, versions_of
from radstream.deployments.log import LEAD
from radstream.logs import get_log
from radstream.service import Health, Stop
from schemas.errors import BadMessage, DeploymentRefused, KafkaDown, ModelLoading, ModelRefused, Unavailable
from schemas.instance_received import InstanceReceived
from schemas.model_deployed import ModelDeployed
from schemas.words import Role

REFUSED = Counter("radstream_models_refused", "Packages that were refused", ["model", "version"])
LOADED = Gauge("radstream_model_loaded", "1: the version is in memory", ["model", "version"])

#: Between two looks at the log (seconds): well below the lead of a deployment.
LOOK_SECONDS = 1.0
#: Longest wait for one package when a service starts (seconds).
START_LOAD_SECONDS = 120.0


class Log(Protocol):
    """What is known of the deployments."""

    @property
    def past(self) -> Sequence[ModelDeployed]:
        """The model's assignments, those that are void left out."""

    @property
    def confirmed_at(self) -> datetime | None:
        """Everything that was written before is in `past` (UTC)."""

    def refresh(self) -> None:
        """Read on; raises KafkaDown, RegistryDown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """One model's assignments, for both lanes."""

    model: str
    configured: str  # the version that answers before any deployment was recorded
    log: Log
    shelf: Shelf

    def of(self, event: InstanceReceived, asked: Address) -> Sequence[Assignment]:
        """Give who answers an image, and a shadow where one looks too.

        Raises KafkaDown where a deployment may have come that we have not read, ModelLoading where the version is not
        there yet (both: the image waits), ModelRefused for an old version whose package is gone (the image is given
        up), BadMessage for a recall by a version that may not answer.
        """
        past = self.log.past
        confirmed_at = self.log.confirmed_at
        if confirmed_at is None or event.received_at > confirmed_at + LEAD:
            raise KafkaDown("deployments were not read for longer than they are written ahead")
        chosen = self._visible(past, event, asked)
        try:
            visible = self._assignment(chosen)
        except ModelRefused as error:
            if chosen.version in _in_force(past):
                raise ModelLoading(f"{chosen.version} was refused here: it is being withdrawn") from error
            raise
        return (visible, *self._shadow(past, event, asked, chosen.version))

    def who(self, event: InstanceReceived, asked: Address) -> Named:
        """Name who answers an image, loaded or not. Never raises: for results that say why there is no other."""
        try:
            found = self._visible(self.log.past, event, asked)
        except BadMessage:
            found = self._visible(self.log.past, event, Address(None, asked.revision))
        return Named(model=self.model, version=found.version, deployment_revision=found.revision, role=found.role)

    def _visible(self, past: Sequence[ModelDeployed], event: InstanceReceived, asked: Address) -> Chosen:
        if asked.version is None:
            found = choose(past, event.study_pseudonym, event.received_at)
            return found or Chosen(self.configured, Role.CHAMPION, 0)
        if asked.version not in {one.champion for one in past} | {one.canary for one in past}:
            raise BadMessage(f"a recall by {asked.version[:40]!r}, which never answered")
        if asked.version in past[-1].withdrawn:
            raise BadMessage(f"a recall by {asked.version[:40]!r}, which was withdrawn itself")
        return Chosen(asked.version, Role.CHAMPION, past[-1].revision)

    def _shadow(
        self, past: Sequence[ModelDeployed], event: InstanceReceived, asked: Address, visible: str
    ) -> list[Assignment]:
        """Give the shadow, if it is there: the visible result never waits for it, and a replay has none."""
        chosen = shadow_of(past, event.received_at, visible) if asked.group is None else None
        if chosen is None:
            return []
        try:
            return [self._assignment(chosen)]
        except (ModelRefused, Unavailable):
            return []

    def _assignment(self, chosen: Chosen) -> Assignment:
        return Assignment(model=self.shelf.get(chosen.version), role=chosen.role, deployment_revision=chosen.revision)


class Follower:
    """Keeps a process in step with the log: loads ahead, lets go, withdraws what it had to refuse."""

    def __init__(
        self, deployed: Deployed, withdraw: Callable[[str, str], object], now: Callable[[], datetime], health: Health
    ) -> None:
        """`withdraw(version, reason)` writes the deployment that withdraws a version."""
        self._deployed = deployed
        self._withdraw = withdraw
        self._now = now
        self._health = health
        self._shown: frozenset[str] = frozenset()
        self._told: set[str] = set()
        self._served_by_others: frozenset[str] = frozenset()

    def start(self) -> None:
        """Load what looks at images, before the process joins a group; raises ModelRefused, ModelLoading.

        A package that others serve may be refused here for a fault of ours alone: then this process ends and they go
        on; nothing is withdrawn that was in force when it began.
        """
        past, shelf = self._deployed.log.past, self._deployed.shelf
        visible = _answering(past, self._now()) or {self._deployed.configured}
        for version in (*visible, *(_wanted(past, self._now()) - visible)):
            try:
                found = shelf.wait(version, START_LOAD_SECONDS)
            except ModelRefused:
                if version in visible:
                    raise
            else:
                get_log().info("model opened", model=found.name, model_version=version, engine=found.engine.name)
        in_force = past[_place_in_force(past, self._now())] if past else None
        self._served_by_others = versions_of(in_force) if in_force else frozenset()
        self._show()

    def run(self, stop: Stop) -> None:
        """Follow the log until asked to stop. A broker that is away is no end: `of` lets the images wait."""
        while not stop.wait(LOOK_SECONDS):
            try:
                self.turn()
            except Unavailable as error:
                get_log().warning("deployments are not read", model=self._deployed.model, cause=error.cause)

    def turn(self) -> None:
        """Go round once.

        1. read the log to its end
        2. load what a deployment names, in force or coming; let go of what none names any more
        3. withdraw for everybody what this process refuses: all members must give the same answer
        """
        log, shelf = self._deployed.log, self._deployed.shelf
        log.refresh()
        wanted = _wanted(log.past, self._now()) or {self._deployed.configured}
        if shelf.want(wanted):
            frugal_memory()
        for version, error in shelf.refused().items():
            if version in wanted:
                self._refuse(version, error)
        self._told &= wanted
        self._served_by_others &= wanted
        self._show()

    def _refuse(self, version: str, error: ModelRefused) -> None:
        model = self._deployed.model
        if version not in self._told:
            self._told.add(version)
            REFUSED.labels(model, version).inc()
            self._health.remark(f"{model} {version} refused: {error}", "model")
            get_log().error("model refused", model=model, model_version=version, detail=str(error))
        if version in self._served_by_others:
            return
        try:
            self._withdraw(version, f"refused by a member: {error.cause}")
        except DeploymentRefused as refusal:
            get_log().error("model can't be withdrawn", model=model, model_version=version, detail=str(refusal))

    def _show(self) -> None:
        """Say in metrics and logs what is in memory."""
        loaded = self._deployed.shelf.loaded
        for version in loaded ^ self._shown:
            LOADED.labels(self._deployed.model, version).set(version in loaded)
            word = "model loaded" if version in loaded else "model let go"
            get_log().info(word, model=self._deployed.model, model_version=version)
        self._shown = loaded


def follow_in_thread(follower: Follower, stop: Stop) -> threading.Thread:
    """Run a follower beside the lanes."""
    # A thread begins without the log's context: it takes a copy along.
    run = partial(copy_context().run, follower.run, stop)
    thread = threading.Thread(target=run, name="deployments", daemon=True)
    thread.start()
    return thread


def _in_force(past: Sequence[ModelDeployed]) -> frozenset[str]:
    """Name the versions that the newest record lets look at images."""
    return versions_of(past[-1]) if past else frozenset()


def _answering(past: Sequence[ModelDeployed], now: datetime) -> frozenset[str]:
    """Name the versions whose results are delivered for images received now."""
    for one in past[_place_in_force(past, now) :]:
        if named := {one.champion, one.canary} - {None, *past[-1].withdrawn}:
            return frozenset(str(version) for version in named)
    return frozenset()


def _wanted(past: Sequence[ModelDeployed], now: datetime) -> frozenset[str]:
    """Name the versions that look at images from now on: of the assignment in force and of those that come."""
    coming = past[_place_in_force(past, now) :]
    return frozenset(version for one in coming for version in versions_of(one) - set(past[-1].withdrawn))


def _place_in_force(past: Sequence[ModelDeployed], now: datetime) -> int:
    return max((place for place, one in enumerate(past) if one.effective_from <= now), default=0)
