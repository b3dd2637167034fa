"""An inference group over the broker in memory: each event ends in exactly one result (promise 3)."""

import io
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from consumers.decoding.claim_check import fetch
from consumers.decoding.decoders import Fetched
from consumers.decoding.frames import Decoded
from consumers.engines.engine import Batch, Inference
from consumers.imaging.inputs import InputSpec
from consumers.inference.batches import BatchLimits
from consumers.inference.forward import Forward, Told
from consumers.inference.group import InferenceGroup
from consumers.loop.breaker import MemoryBreakers
from consumers.loop.clock import Clock
from consumers.loop.dead_letters import DeadLetters
from consumers.loop.handler import LoopLimits, Surroundings
from consumers.loop.headers import Address
from consumers.loop.loop import Loop
from consumers.loop.publish import InTransaction
from consumers.meters.instruments import Instruments
from consumers.models.loaded import Assignment
from consumers.results.heatmaps import HeatMaps, Which
from consumers.results.outcome import Answering, Asked, Named, evaluated
from consumers.results.worth import Novelty, Worth
from radstream.broker.contract import Message, Outgoing
from radstream.broker.memory import MemoryBroker
from radstream.journal.vault import Vault
from radstream.objects.stores import MemoryObjects
from radstream.service import Health
from schemas.codec import Codec
from schemas.errors import NotEvaluable, ObjectStoreDown, RadStreamError
from schemas.identity import data_set_hasher, result_id
from schemas.inference_completed import InferenceCompleted
from schemas.instance_received import InstanceReceived
from schemas.message_dead_lettered import MessageDeadLettered
from schemas.topics import COMPLETED, DEAD_LETTERED, RECEIVED_ROUTINE, RECEIVED_STAT, SHADOWED
from schemas.words import Lane, Outcome, Reason, ReviewReason, Role
from tests.unit.consumers.loaded import OPERATING, FirstPixel, loaded
from tests.unit.consumers.schema_ids import LocalIds
from tests.unit.schemas.samples import SAMPLES

GROUP = "inference.m.stat"
NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)
SAMPLE = SAMPLES[RECEIVED_STAT]
IMAGE = Decoded(
    np.zeros((3, 2, 2), np.float32),
    {"mean": 7.0},
    {"kvp": 125.0},
    needs_review=False,
    acquired_at=NOW.timestamp() - 61,
)


@dataclass(slots=True)
class Pool:
    """Fetches, and gives the decoded image, the reason or the error that the test set for an object's bytes."""

    objects: MemoryObjects
    outcomes: dict[bytes, Decoded | NotEvaluable] = field(default_factory=dict)
    away: int = 0

    def submit(self, event: InstanceReceived, specs: Sequence[InputSpec]) -> "Future[Fetched]":
        """Answer at once."""
        made: Future[Fetched] = Future()
        try:
            if self.away:
                self.away -= 1
                raise ObjectStoreDown("away")
            body = fetch(self.objects, event)
            found = self.outcomes.get(bytes(body[-1:]), IMAGE)
            made.set_result(Fetched(found if isinstance(found, NotEvaluable) else (found,) * len(specs), 2.0, 3.0))
        except RadStreamError as error:
            made.set_exception(error)
        return made


@dataclass(slots=True)
class Several:
    """Who answers, as the test says."""

    assigned: list[Assignment]

    def of(self, event: InstanceReceived, asked: Address) -> Sequence[Assignment]:  # noqa: ARG002 - whatever is asked
        """Give them."""
        return self.assigned

    def who(self, event: InstanceReceived, asked: Address) -> Named:  # noqa: ARG002 - whatever is asked
        """Name the first."""
        return self.assigned[0].answering


@dataclass(slots=True)
class Site:
    """One lane, from the log to the log."""

    broker: MemoryBroker
    pool: Pool
    engine: FirstPixel
    forward: Forward
    several: Several
    loop: Loop[object]
    registry: CollectorRegistry
    codec: Codec = field(default_factory=lambda: Codec(LocalIds()))

    def send(self, last: bytes = b"a", headers: dict[str, bytes] | None = None, *, store: bool = True) -> UUID:
        """Store an object that ends in `last` and publish its event."""
        assert isinstance(SAMPLE, InstanceReceived)
        data = b"pixels" + last
        whole = bytes(128) + b"DICM" + bytes.fromhex("02000000554c040000000000") + data
        hasher = data_set_hasher(SAMPLE.transfer_syntax_uid)
        hasher.update(data)
        sha256 = hasher.hexdigest()
        event = replace(
            SAMPLE, event_id=UUID(sha256[:32]), sha256=sha256, object_key=sha256, size_bytes=len(whole),
            received_at=NOW - timedelta(seconds=1),
        )  # fmt: skip
        if store:
            self.pool.objects.put(sha256, io.BytesIO(whole), len(whole))
        self.publish(self.codec.encode(RECEIVED_STAT, event), headers)
        return event.event_id

    def publish(self, value: bytes, headers: dict[str, bytes] | None = None) -> None:
        """Publish bytes."""
        self.broker.writer().write([Outgoing(topic=RECEIVED_STAT, key=b"s", value=value, headers=headers or {})])

    def run(self, turns: int = 3) -> None:
        """Go round."""
        for _ in range(turns):
            self.loop.turn()
            while self.forward.turn():
                pass

    def messages(self, topic: str) -> list[Message]:
        """Read what became visible."""
        return [one for part in self.broker.partitions([topic]) for one in self.broker.read(part, 0, 999)[0]]

    def results(self) -> list[InferenceCompleted]:
        """Read the results."""
        return [self.codec.decode(one.value) for one in self.messages(COMPLETED)]

    def letters(self) -> list[MessageDeadLettered]:
        """Read the dead letters."""
        return [self.codec.decode(one.value) for one in self.messages(DEAD_LETTERED)]


@pytest.fixture
def site() -> Site:
    """Build one."""
    ticks = iter(range(10_000))
    broker = MemoryBroker({RECEIVED_STAT: 1, RECEIVED_ROUTINE: 1, COMPLETED: 1, SHADOWED: 1, DEAD_LETTERED: 1})
    broker.begin_group(GROUP, [RECEIVED_STAT])
    pool, engine, registry = Pool(MemoryObjects()), FirstPixel(), CollectorRegistry()
    instruments = Instruments(registry)
    forward = Forward(BatchLimits(), threads=0, told=Told(counted=instruments.batch))
    several = Several([Assignment(model=loaded(engine))])
    around = Surroundings(
        broker=broker,
        breakers=MemoryBreakers(),
        instruments=instruments,
        health=Health(),
        clock=Clock(lambda: NOW, lambda: float(next(ticks))),
        limits=LoopLimits(idle_poll_s=0, busy_wait_s=0),
    )
    handler = InferenceGroup(
        name=GROUP,
        lane=Lane.STAT,
        assignments=several,
        pool=pool,
        forward=forward,
        heatmaps=HeatMaps(pool.objects, Which.NONE),
        codec=Codec(LocalIds()),
        letters=DeadLetters(GROUP, Codec(LocalIds()), Vault(b"v" * 32)),
        instruments=around.instruments,
        clock=around.clock,
    )
    publisher = InTransaction(broker.transactional_writer("slot"))
    loop = Loop(GROUP, [RECEIVED_STAT], handler, publisher, around)
    return Site(broker, pool, engine, forward, several, loop, registry)


def seeing(logit: float) -> Decoded:
    """Give an image whose positive logit is this."""
    return replace(IMAGE, tensor=np.full((3, 2, 2), logit, np.float32))


def test_an_image_ends_in_a_result_that_says_what_it_is_worth(site: Site) -> None:
    """Promise 6: probabilities, finding, threshold, model, and what slices and drift need."""
    event = site.send()

    site.run()

    (result,) = site.results()
    assert (result.event_id, result.outcome, result.reason) == (event, Outcome.EVALUATED, None)
    assert result.result_id == result_id(event, "m", "1.0.0", Role.CHAMPION)
    assert (result.probabilities, result.finding, result.threshold) == (
        {"NORMAL": 0.5, "PNEUMONIA": 0.5},
        "NORMAL",
        0.6,
    )
    assert (result.image_statistics, result.acquisition) == ({"mean": 7.0}, {"kvp": 125.0})
    assert result.projection == [float(number) for number in range(16)]
    assert (result.deployment_revision, result.result_revision, result.needs_review) == (0, 1, False)
    assert (result.manufacturer, result.identity_changed) == ("Phantom Works", True)
    assert result.stage_ms.keys() == {"queue", "fetch", "decode", "batch", "forward"}
    assert (result.stage_ms["queue"], result.clock_skew_seconds) == (1000, 60)


def test_the_threshold_decides(site: Site) -> None:
    """At 0.6, 0.7 is found."""
    site.pool.outcomes[b"p"] = seeing(0.85)
    site.send(b"p")

    site.run()

    assert site.results()[0].finding == "PNEUMONIA"


def test_missing_scope_tags_ask_for_a_person(site: Site) -> None:
    """Evaluated, and to be looked at."""
    site.pool.outcomes[b"u"] = replace(IMAGE, needs_review=True)
    site.send(b"u")

    site.run()

    (result,) = site.results()
    assert (result.outcome, result.needs_review) == (Outcome.EVALUATED, True)
    assert result.review_reasons == [ReviewReason.SCOPE_UNSTATED]


def test_a_flagged_film_is_evaluated_and_says_why_a_person_should_look(site: Site) -> None:
    """The scores of the checks stand beside it, and how sure the model is."""
    site.pool.outcomes[b"q"] = replace(IMAGE, quality={"rotated": 3.5}, flags=(ReviewReason.ROTATED,))
    site.send(b"q")

    site.run()

    (result,) = site.results()
    assert (result.outcome, result.needs_review) == (Outcome.EVALUATED, True)
    assert (result.review_reasons, result.quality) == ([ReviewReason.ROTATED], {"rotated": 3.5})
    assert (result.uncertainty, result.out_of_distribution) == (1.0, None)


def test_a_film_of_no_use_says_which_check_refused_it(site: Site) -> None:
    """Not evaluated, for its quality, and why."""
    site.pool.outcomes[b"x"] = NotEvaluable(Reason.QUALITY, "too_small")
    site.send(b"x")

    site.run()

    (result,) = site.results()
    assert (result.outcome, result.reason) == (Outcome.NOT_EVALUATED, Reason.QUALITY)
    assert result.review_reasons == [ReviewReason.NOT_EVALUATED, ReviewReason.TOO_SMALL]


def test_what_the_model_itself_doubts_asks_for_a_person() -> None:
    """Near the threshold, and unlike its own films: both reasons, and the score."""
    novelty = Novelty(("mean",), np.zeros(17), np.eye(17), np.array([0.0, 10.0, 20.0]), 0.99)
    image = replace(IMAGE, statistics={"mean": 0.0})
    answering = Answering(model="m", version="1.0.0", operating=OPERATING, worth=Worth(novelty, (0.4, 0.7)))
    assert isinstance(SAMPLE, InstanceReceived)
    asked = Asked(event=SAMPLE, revision=1, completed_at=NOW, stage_ms={})

    near, far = (
        evaluated(asked, answering, image, Inference(np.zeros((1, 2), np.float32), np.full((1, 16), level, np.float32)))
        for level in (2.5, 25.0)
    )

    assert (near.out_of_distribution, near.review_reasons) == (0.5, (ReviewReason.NEAR_THRESHOLD,))
    assert far.review_reasons == (ReviewReason.NEAR_THRESHOLD, ReviewReason.OUT_OF_DISTRIBUTION)
    assert (far.out_of_distribution, far.needs_review) == (1.0, True)


@pytest.mark.parametrize(
    "reason",
    [
        Reason.VIEW, Reason.MODALITY, Reason.BODY_PART, Reason.MULTI_FRAME, Reason.NO_PIXELS,
        Reason.UNSUPPORTED_PIXELS, Reason.UNSUPPORTED_TRANSFER_SYNTAX, Reason.QUALITY,
    ],
)  # fmt: skip
def test_an_image_out_of_scope_has_a_reason_and_no_dead_letter(site: Site, reason: Reason) -> None:
    """Nothing failed: there is nothing to repeat."""
    site.pool.outcomes[b"x"] = NotEvaluable(reason)
    event = site.send(b"x")

    site.run()

    (result,) = site.results()
    assert (result.event_id, result.outcome, result.reason) == (event, Outcome.NOT_EVALUATED, reason)
    assert (result.probabilities, result.finding, result.threshold, result.needs_review) == (None, None, None, True)
    assert site.letters() == []


@pytest.mark.parametrize("reason", [Reason.UNDECODABLE, Reason.DECODER_CRASHED])
def test_what_could_not_be_decoded_stands_in_the_dead_letters_too(site: Site, reason: Reason) -> None:
    """One result and one letter, in one transaction, with the original message."""
    site.pool.outcomes[b"x"] = NotEvaluable(reason)
    event = site.send(b"x")

    site.run()

    (result,), (letter,) = site.results(), site.letters()
    assert (result.event_id, result.reason, letter.event_id, letter.cause) == (event, reason, event, reason)
    assert site.codec.decode(letter.original).event_id == event
    assert (letter.group, letter.source_topic, letter.offset, letter.encrypted) == (GROUP, RECEIVED_STAT, 0, False)


def test_a_missing_object_is_permanent(site: Site) -> None:
    """The store answered that it isn't there."""
    site.send(store=False)

    site.run()

    assert (site.results()[0].reason, site.letters()[0].cause) == (Reason.OBJECT_MISSING, "object_missing")


def test_an_object_store_that_is_away_loses_nothing(site: Site) -> None:
    """Neither a result nor a letter until it is back."""
    site.pool.away = 8
    site.send()

    site.run(2)
    assert (site.results(), site.letters()) == ([], [])
    site.run(40)

    assert [one.outcome for one in site.results()] == [Outcome.EVALUATED]
    assert site.letters() == []


@pytest.mark.parametrize(
    ("value", "cause"), [(b"DOE^JANE", "undecodable_message"), (b"\0\0\0\x0f\xffDOE^JANE", "schema_missing")]
)
def test_a_message_that_is_no_event_is_sealed_and_passed(site: Site, value: bytes, cause: str) -> None:
    """It may hold anything, so nobody reads it without the vault's key."""
    site.publish(value)
    event = site.send()

    site.run()

    (letter,) = site.letters()
    assert (letter.event_id, letter.cause, letter.encrypted) == (None, cause, True)
    assert b"DOE" not in letter.original
    assert Vault(b"v" * 32).open_bytes(letter.original, str(letter.id)) == value
    assert [one.event_id for one in site.results()] == [event]


def test_a_model_that_answers_nonsense_says_nothing_of_the_patient(site: Site) -> None:
    """Not a number is not the negative class; the images beside it are answered."""
    site.pool.outcomes[b"n"] = seeing(float("nan"))
    bad, good = site.send(b"n"), site.send(b"a")

    site.run()

    assert {one.event_id: (one.outcome, one.reason) for one in site.results()} == {
        bad: (Outcome.NOT_EVALUATED, Reason.INTERNAL),
        good: (Outcome.EVALUATED, None),
    }
    assert [one.cause for one in site.letters()] == ["internal"]


def test_a_replay_revises_the_result_under_its_id(site: Site) -> None:
    """The highest revision is the visible one."""
    headers = {"replay-for": GROUP.encode(), "replay-revision": b"2"}
    site.send()
    site.send(headers=headers)

    site.run()

    first, second = site.results()
    assert (first.result_id, first.result_revision, second.result_revision) == (second.result_id, 1, 2)


def test_a_replay_for_another_group_is_passed_by(site: Site) -> None:
    """No result, and the group goes on behind it."""
    site.send(headers={"replay-for": b"inference.other.stat", "replay-revision": b"2"})
    event = site.send(b"b")

    site.run()

    assert [one.event_id for one in site.results()] == [event]


def test_a_recall_names_the_result_that_it_takes_the_place_of(site: Site) -> None:
    """So that the one before leaves the view."""
    replaced = "0f3b6a52-6c1b-5f0e-8d8f-3a1f9b1c2d3e"
    site.send(headers={"replay-for": GROUP.encode(), "replay-revision": b"2", "replay-supersedes": replaced.encode()})

    site.run()

    assert site.results()[0].supersedes == UUID(replaced)


def test_a_result_never_takes_its_own_place(site: Site) -> None:
    """A replay that the same version answers is a revision, and names nothing."""
    event = site.send()
    own = str(result_id(event, "m", "1.0.0", Role.CHAMPION))
    site.send(headers={"replay-for": GROUP.encode(), "replay-revision": b"2", "replay-supersedes": own.encode()})

    site.run()

    assert [(one.result_revision, one.supersedes) for one in site.results()] == [(1, None), (2, None)]


def test_a_shadow_answers_beside_the_champion_into_a_topic_of_its_own(site: Site) -> None:
    """Each has its own result, and each engine its own batch."""
    shadow = FirstPixel()
    site.several.assigned.append(Assignment(model=loaded(shadow, "2.0.0"), role=Role.SHADOW, deployment_revision=4))
    event = site.send()

    site.run()

    (visible,) = site.results()
    (unseen,) = [site.codec.decode(one.value) for one in site.messages(SHADOWED)]
    assert (visible.model_version, visible.role) == ("1.0.0", Role.CHAMPION)
    assert (unseen.event_id, unseen.model_version, unseen.role, unseen.deployment_revision) == (
        event, "2.0.0", Role.SHADOW, 4,
    )  # fmt: skip
    assert (site.engine.batches, shadow.batches) == ([1], [1])


class Broken:
    """An engine that fails."""

    name, batch_images = "broken", 1

    def infer(self, batch: Batch) -> Inference:
        """Fail."""
        raise MemoryError(len(batch))


class Nonsense:
    """An engine whose answers are no numbers."""

    name, batch_images = "nonsense", 1

    def infer(self, batch: Batch) -> Inference:
        """Answer."""
        return Inference(np.full((len(batch), 2), np.nan, np.float32), np.zeros((len(batch), 4), np.float32))


@pytest.mark.parametrize("engine", [Broken(), Nonsense()], ids=lambda one: str(one.name))
def test_a_shadow_that_fails_spoils_nothing_that_is_delivered(site: Site, engine: Broken | Nonsense) -> None:
    """The champion's result is there, and the shadow's says why it is none."""
    site.several.assigned.append(Assignment(model=loaded(engine, "2.0.0"), role=Role.SHADOW))
    site.send()

    site.run()

    assert [(one.model_version, one.outcome) for one in site.results()] == [("1.0.0", Outcome.EVALUATED)]
    (unseen,) = [site.codec.decode(one.value) for one in site.messages(SHADOWED)]
    assert (unseen.outcome, unseen.reason) == (Outcome.NOT_EVALUATED, Reason.INTERNAL)
    assert site.letters() == []


def test_the_trace_and_the_event_time_go_on(site: Site) -> None:
    """From the image's message to its result's."""
    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    site.send(headers={"traceparent": parent})

    site.run()

    headers = site.messages(COMPLETED)[0].headers
    assert headers["traceparent"].startswith(parent[:36])
    assert headers["event-time"] == (NOW - timedelta(seconds=1)).isoformat().encode()


def test_results_are_keyed_by_study(site: Site) -> None:
    """So that a study stays in one partition."""
    site.send()

    site.run()

    assert site.messages(COMPLETED)[0].key == b"2.25.2"


def test_every_stage_is_measured(site: Site) -> None:
    """One observation an image in each, every forward pass, and what waits."""
    site.send()
    site.send(b"b")

    site.run()

    def value(name: str, **labels: str) -> float | None:
        return site.registry.get_sample_value(name, labels)

    stages = ("queue", "fetch", "decode", "batch", "forward", "encode", "commit")
    found = {stage: value("radstream_stage_seconds_count", stage=stage, lane="stat") for stage in stages}
    assert found == dict.fromkeys(stages, 2)
    assert value("radstream_batch_images_sum", model="m") == 2
    assert value("radstream_queue_depth", queue="in_hand", lane="stat") is not None
    assert value("radstream_breaker_open", group=GROUP) == 0
