"""Heat maps: what the picture shows, who gets one, and that a store that is away holds the image and loses nothing."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from consumers.decoding.decoders import Fetched
from consumers.decoding.frames import Decoded
from consumers.imaging.heatmap import evidence_for, grey_of, png_of
from consumers.inference.batches import BatchLimits
from consumers.inference.forward import Forward
from consumers.inference.group import InferenceGroup
from consumers.loop.breaker import MemoryBreakers
from consumers.loop.clock import Clock
from consumers.loop.dead_letters import DeadLetters
from consumers.loop.handler import LoopLimits, RetryLimit, Surroundings
from consumers.loop.loop import Loop
from consumers.loop.publish import InTransaction
from consumers.meters.instruments import Instruments
from consumers.models.loaded import Assignment, OneModel
from consumers.results.heatmaps import HeatMaps, Wanted, Which, key_of
from radstream.broker.contract import Outgoing, Partition
from radstream.broker.memory import MemoryBroker
from radstream.journal.vault import Vault
from radstream.objects.stores import MemoryObjects
from radstream.service import Health
from schemas.codec import Codec
from schemas.errors import ObjectStoreDown
from schemas.identity import result_id
from schemas.inference_completed import InferenceCompleted
from schemas.instance_received import InstanceReceived
from schemas.topics import COMPLETED, DEAD_LETTERED, RECEIVED_STAT
from schemas.words import Lane, Role
from tests.running import until
from tests.unit.consumers.loaded import OPERATING, FirstPixel, loaded
from tests.unit.consumers.schema_ids import LocalIds
from tests.unit.schemas.samples import SAMPLES

EVIDENCE = np.stack([np.zeros((4, 3)), np.arange(12).reshape(4, 3) - 4.0]).astype(np.float32)
POSITIVE, NEGATIVE = np.array([0.0, 2.0], np.float32), np.array([2.0, 0.0], np.float32)
NAME = UUID(int=7)
SHAPES = st.tuples(st.just(2), st.integers(1, 20), st.integers(1, 20))
Floats = NDArray[np.float32]
SAMPLE = SAMPLES[RECEIVED_STAT]


class Away(MemoryObjects):
    """A store whose next puts fail, and which knows how many objects came together."""

    def __init__(self, times: int = 0) -> None:
        super().__init__()
        self.times = times
        self.together: list[int] = []

    def put_all(self, bodies: Mapping[str, bytes]) -> None:
        """Fail, then store."""
        if self.times:
            self.times -= 1
            raise ObjectStoreDown("away")
        self.together.append(len(bodies))
        super().put_all(bodies)


@settings(deadline=None)
@given(
    arrays(
        np.float32, st.tuples(st.just(2), st.integers(1, 20), st.integers(1, 20)), elements=st.floats(-50, 50, width=32)
    )
)
def test_the_picture_is_the_positive_part_of_the_map(
    evidence: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> None:
    """Read by another library: 8-bit grey, the map's own size, one level for each 255th of its largest evidence."""
    grey, scale = grey_of(evidence_for(evidence, 1))

    shown = cv2.imdecode(np.frombuffer(png_of(evidence, 1), np.uint8), cv2.IMREAD_UNCHANGED)

    assert (shown.dtype, shown.shape) == (np.uint8, evidence.shape[1:])
    np.testing.assert_array_equal(shown, grey)
    spoken = np.maximum(evidence[1].astype(float) - evidence[0], 0)
    np.testing.assert_allclose(shown * scale / 255, spoken, atol=scale / 255)


def test_the_map_and_the_biases_add_up_to_the_log_odds() -> None:
    """Behind one linear layer the map is exact, so its mean is the decision's evidence."""
    random = np.random.default_rng(3)
    features, weights, biases = random.normal(size=(9, 5, 5)), random.normal(size=(2, 9)), random.normal(size=2)
    logits = weights @ features.mean((1, 2)) + biases

    shown = evidence_for(np.einsum("kf,fhw->khw", weights, features), 1)

    assert shown.mean() + biases[1] - biases[0] == pytest.approx(logits[1] - logits[0])


def test_attention_is_shown_as_it_is() -> None:
    """A network that shows where it looked has one map for all classes."""
    attention = np.arange(4.0).reshape(1, 2, 2)

    np.testing.assert_array_equal(evidence_for(attention, 1), attention[0])


def test_evidence_that_is_no_number_is_a_black_picture() -> None:
    """Nothing is claimed, and nothing fails."""
    assert grey_of(np.array([[np.nan, -1.0]]))[0].tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("which", "logits", "role", "shown"),
    [
        (Which.POSITIVES, POSITIVE, Role.CHAMPION, 1),
        (Which.POSITIVES, NEGATIVE, Role.CHAMPION, None),
        (Which.POSITIVES, POSITIVE, Role.CANARY, 1),
        (Which.POSITIVES, POSITIVE, Role.SHADOW, None),
        (Which.ALL, NEGATIVE, Role.CHAMPION, 0),
        (Which.NONE, POSITIVE, Role.CHAMPION, None),
        (Which.ALL, np.array([np.nan, 0.0]), Role.CHAMPION, None),
    ],
)
def test_who_gets_a_map(which: Which, logits: Floats, role: Role, shown: int | None) -> None:
    """By the setting and the finding, and never for a shadow."""
    heatmaps = HeatMaps(MemoryObjects(), which)

    assert heatmaps.class_of(logits, OPERATING, role) == shown


def test_maps_are_stored_together_and_again_with_the_same_bytes() -> None:
    """One call for all; none for none."""
    objects = Away()
    heatmaps = HeatMaps(objects, Which.POSITIVES)
    maps = [Wanted(key_of(NAME, revision), EVIDENCE, 1) for revision in (1, 2, 3)]

    for these in (maps, maps, []):
        heatmaps.store(these)

    assert objects.together == [3, 3]
    assert [objects.get(one.key) for one in maps] == [png_of(EVIDENCE, 1)] * 3


def test_revisions_have_objects_of_their_own() -> None:
    """A replay draws its map beside the former one."""
    assert key_of(NAME, 1) != key_of(NAME, 2)
    assert key_of(NAME, 1).startswith("heatmaps/00/")


class Pool:
    """Gives the same positive image for every event."""

    def submit(self, event: InstanceReceived, specs: object) -> "Future[Fetched]":  # noqa: ARG002 - a decoder's form
        """Answer at once."""
        made: Future[Fetched] = Future()
        made.set_result(Fetched((Decoded(np.full((3, 2, 2), 3, np.float32), {}, {}, needs_review=False),), 1.0, 1.0))
        return made


def test_a_store_that_is_away_holds_the_result_and_loses_nothing() -> None:
    """No result is written before its map is there; when the store is back each image has one result, with its key.

    Nothing is run again meanwhile, and the maps of what shares a transaction are stored together.
    """
    store, broker = Away(times=9), MemoryBroker({RECEIVED_STAT: 1, COMPLETED: 1, DEAD_LETTERED: 1})
    engine, images = FirstPixel(evidence=EVIDENCE), 3
    broker.begin_group("g", [RECEIVED_STAT])
    codec, now = Codec(LocalIds()), [0.0]
    forward = Forward(BatchLimits(), threads=0)
    around = Surroundings(
        broker=broker,
        breakers=MemoryBreakers(),
        instruments=Instruments(CollectorRegistry()),
        health=Health(),
        clock=Clock(lambda: datetime(2026, 11, 21, tzinfo=UTC), lambda: now[0]),
        limits=LoopLimits(idle_poll_s=0, busy_wait_s=0, retry=RetryLimit(2)),
    )
    handler = InferenceGroup(
        name="g",
        lane=Lane.STAT,
        assignments=OneModel(Assignment(model=loaded(engine))),
        pool=Pool(),
        forward=forward,
        heatmaps=HeatMaps(store, Which.POSITIVES),
        codec=codec,
        letters=DeadLetters("g", codec, Vault(b"v" * 32)),
        instruments=around.instruments,
        clock=around.clock,
    )
    loop = Loop("g", [RECEIVED_STAT], handler, InTransaction(broker.transactional_writer("slot")), around)
    assert isinstance(SAMPLE, InstanceReceived)
    for number in range(images):
        event = replace(SAMPLE, event_id=UUID(int=number))
        broker.writer().write([Outgoing(topic=RECEIVED_STAT, key=b"s", value=codec.encode(RECEIVED_STAT, event))])
    unnamed: list[InferenceCompleted] = []

    def results() -> list[InferenceCompleted]:
        now[0] += 60
        loop.turn()
        while forward.turn():
            pass
        found = [codec.decode(one.value) for one in broker.read(Partition(COMPLETED, 0), 0, 10)[0]]
        unnamed.extend(one for one in found if not one.heatmap_key or store.size(one.heatmap_key) is None)
        return found

    until(lambda: bool(results()), 30, "no result")
    found = results()

    assert unnamed == []
    assert (store.times, store.together) == (0, [images])
    assert engine.batches == [1] * images
    assert [one.heatmap_key for one in found] == [
        key_of(result_id(UUID(int=number), "m", "1.0.0", Role.CHAMPION), 1) for number in range(images)
    ]
    assert all(one.stage_ms["heatmap"] >= 0 for one in found)
    assert [store.get(one.heatmap_key or "") for one in found] == [png_of(EVIDENCE, 1)] * images
    assert broker.read(Partition(DEAD_LETTERED, 0), 0, 10)[0] == []
