"""Who answers by the log of deployments: loaded ahead, never mixed, refused for everybody or for nobody."""

import gc
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from consumers.loop.headers import Address
from consumers.models.deployed import Deployed, Follower
from consumers.models.loaded import LoadedModel
from consumers.models.shelf import Shelf
from radstream.deployments.log import LEAD
from radstream.service import Health
from schemas.errors import BadMessage, KafkaDown, ModelLoading, ModelRefused, ObjectStoreDown
from schemas.instance_received import InstanceReceived
from schemas.model_deployed import ModelDeployed
from schemas.topics import RECEIVED_STAT
from schemas.words import Role
from tests.running import until
from tests.unit.consumers.loaded import FirstPixel, loaded
from tests.unit.schemas.samples import SAMPLES

AT = datetime(2026, 11, 21, 6, tzinfo=UTC)
LIVE = Address(None, 1)
KEEP_SECONDS = 60.0


def record(revision: int, champion: str = "1.0.0", minute: float = 0, **changed: object) -> ModelDeployed:
    """Make a record that is effective so many minutes after AT."""
    made = ModelDeployed(
        deployment_id=uuid4(),
        model="m",
        revision=revision,
        expected_previous=revision - 1,
        champion=champion,
        deployed_at=AT,
        effective_from=AT + timedelta(minutes=minute),
    )
    return replace(made, **changed)  # type: ignore[arg-type] # a test's own words


def image(minute: float = 1) -> InstanceReceived:
    """Make the event of an image that was received so many minutes after AT."""
    event = SAMPLES[RECEIVED_STAT]
    assert isinstance(event, InstanceReceived)
    return replace(event, received_at=AT + timedelta(minutes=minute))


@dataclass(slots=True)
class Site:
    """One process's models, without a broker; the test holds the log, the clock and the packages."""

    past: Sequence[ModelDeployed] = ()
    confirmed_at: datetime | None = AT + timedelta(hours=1)
    faults: dict[str, Exception] = field(default_factory=dict)
    held: dict[str, "Future[None]"] = field(default_factory=dict)
    loads: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    now: datetime = AT
    monotonic: float = 0.0
    health: Health = field(default_factory=Health)
    deployed: Deployed = field(init=False)
    follower: Follower = field(init=False)

    def __post_init__(self) -> None:
        """Put it together."""
        shelf = Shelf(self.load, lambda: self.monotonic, KEEP_SECONDS)
        self.deployed = Deployed(model="m", configured="0.9.0", log=self, shelf=shelf)
        self.follower = Follower(
            self.deployed, lambda version, _reason: self.withdrawn.append(version), lambda: self.now, self.health
        )

    def refresh(self) -> None:
        """Everything is read."""

    def load(self, version: str) -> LoadedModel:
        """Load, wait or fail as the test says."""
        self.loads.append(version)
        if version in self.held:
            self.held[version].result(30)
        if version in self.faults:
            raise self.faults[version]
        return loaded(FirstPixel(), version)

    def turn(self, done: str) -> None:
        """Let the follower go round until a version is loaded or refused, and see it."""

        def settled() -> bool:
            self.follower.turn()
            return done in self.deployed.shelf.loaded | self.deployed.shelf.refused().keys()

        until(settled, 30, f"{done} is not loaded")
        self.follower.turn()

    def answers(self, minute: float = 1, asked: Address = LIVE) -> list[tuple[str, Role, int]]:
        """Say who answers an image."""
        found = self.deployed.of(image(minute), asked)
        return [(one.model.version, one.role, one.deployment_revision) for one in found]


def test_before_any_deployment_the_configured_package_answers() -> None:
    """With revision 0: no record says so."""
    site = Site()

    site.follower.start()

    assert site.answers() == [("0.9.0", Role.CHAMPION, 0)]


def test_a_version_is_loaded_before_it_takes_effect_and_the_old_one_goes_on_until_then() -> None:
    """What the image's receipt says, not what came last."""
    site = Site([record(1)])
    site.follower.start()
    site.past = [record(1), record(2, "2.0.0", minute=10)]

    site.turn("2.0.0")

    assert site.deployed.shelf.loaded == {"1.0.0", "2.0.0"}
    assert site.answers(9) == [("1.0.0", Role.CHAMPION, 1)]
    assert site.answers(10) == [("2.0.0", Role.CHAMPION, 2)]


def test_an_image_waits_for_a_version_that_is_still_being_loaded() -> None:
    """It is not answered by another one."""
    site = Site([record(1)])
    site.follower.start()
    site.held["2.0.0"] = Future()
    site.past = [record(1), record(2, "2.0.0")]
    site.follower.turn()

    with pytest.raises(ModelLoading):
        site.answers()
    site.held.pop("2.0.0").set_result(None)
    site.turn("2.0.0")

    assert site.answers() == [("2.0.0", Role.CHAMPION, 2)]


def test_the_old_version_is_let_go_when_nothing_has_used_it_for_a_while() -> None:
    """And comes back for a replay of an old receipt."""
    site = Site([record(1)])
    site.follower.start()
    site.past, site.now = [record(1), record(2, "2.0.0", minute=10)], AT + timedelta(minutes=11)
    site.turn("2.0.0")
    site.monotonic = KEEP_SECONDS + 1
    engine = weakref.ref(site.deployed.of(image(5), LIVE)[0].model.engine)
    site.monotonic += KEEP_SECONDS + 1

    site.follower.turn()
    gc.collect()

    assert site.deployed.shelf.loaded == {"2.0.0"}
    assert engine() is None
    with pytest.raises(ModelLoading):
        site.answers(5)
    site.turn("1.0.0")
    assert site.answers(5) == [("1.0.0", Role.CHAMPION, 1)]


def test_a_package_that_is_refused_is_withdrawn_for_everybody() -> None:
    """Told once; its images wait for the withdrawal, and nobody takes another's choice."""
    site = Site([record(1)], faults={"2.0.0": ModelRefused("bad hash")})
    site.follower.start()
    site.past = [record(1), record(2, "2.0.0")]
    site.turn("2.0.0")

    assert set(site.withdrawn) == {"2.0.0"}
    assert "bad hash" in site.health.remarks["model"]
    with pytest.raises(ModelLoading, match="withdrawn"):
        site.answers()
    site.past = [*site.past, record(3, withdrawn=["2.0.0"])]
    assert site.answers() == [("1.0.0", Role.CHAMPION, 3)]


def test_a_process_that_starts_withdraws_nothing_that_others_serve() -> None:
    """It ends instead: the fault may be its own."""
    site = Site([record(1), record(2, "2.0.0")], faults={"2.0.0": ModelRefused("unknown architecture")})

    with pytest.raises(ModelRefused):
        site.follower.start()

    assert site.withdrawn == []


def test_a_shadow_that_others_serve_is_not_withdrawn_by_a_process_that_starts() -> None:
    """It serves the visible ones without it."""
    site = Site([record(1, shadow="2.0.0")], faults={"2.0.0": ModelRefused("unknown architecture")})
    site.follower.start()

    site.turn("2.0.0")

    assert site.withdrawn == []
    assert site.answers() == [("1.0.0", Role.CHAMPION, 1)]


def test_a_server_that_is_away_refuses_nothing() -> None:
    """The package is fetched when it is back; until then images wait."""
    site = Site([record(1)], faults={"2.0.0": ObjectStoreDown("away")})
    site.follower.start()
    site.past = [record(1), record(2, "2.0.0")]
    until(lambda: site.follower.turn() or site.loads.count("2.0.0") > 1, 30, "it is not tried again")
    with pytest.raises((ModelLoading, ObjectStoreDown)):
        site.answers()
    site.faults.clear()

    site.turn("2.0.0")

    assert site.withdrawn == []
    assert site.answers() == [("2.0.0", Role.CHAMPION, 2)]


def test_an_image_waits_where_a_deployment_may_have_come_unread() -> None:
    """Its receipt is more than the lead behind what is known to be read."""
    site = Site([record(1)])
    site.follower.start()
    site.confirmed_at = image().received_at - LEAD - timedelta(seconds=1)

    with pytest.raises(KafkaDown):
        site.answers()
    site.confirmed_at = image().received_at - LEAD

    assert site.answers() == [("1.0.0", Role.CHAMPION, 1)]


def test_a_shadow_comes_second_and_a_replay_has_none() -> None:
    """The visible one first."""
    site = Site([record(1, shadow="2.0.0")])
    site.follower.start()
    site.turn("2.0.0")

    assert site.answers() == [("1.0.0", Role.CHAMPION, 1), ("2.0.0", Role.SHADOW, 1)]
    assert site.answers(asked=Address("inference.m.stat", 2)) == [("1.0.0", Role.CHAMPION, 1)]


def test_the_visible_version_does_not_wait_for_a_shadow() -> None:
    """One that is still loading, or refused, looks at nothing."""
    site = Site([record(1)])
    site.follower.start()
    site.held["2.0.0"] = Future()
    site.past = [record(1, shadow="2.0.0")]
    site.follower.turn()

    assert site.answers() == [("1.0.0", Role.CHAMPION, 1)]
    site.held["2.0.0"].set_result(None)


def test_a_recall_names_who_answers() -> None:
    """Whatever the deployments say of the receipt, but nobody who never answered or was withdrawn."""
    site = Site([record(1), record(2, "2.0.0", minute=10), record(3, "1.0.0", minute=20, withdrawn=["2.0.0"])])
    site.follower.start()
    site.follower.turn()

    def asked(version: str) -> Address:
        return Address("inference.m.stat", 2, version)

    assert site.answers(15, asked("1.0.0")) == [("1.0.0", Role.CHAMPION, 3)]
    for version in ("2.0.0", "7.0.0"):
        with pytest.raises(BadMessage):
            site.answers(15, asked(version))
        assert site.deployed.who(image(15), asked(version)).version == "1.0.0"
