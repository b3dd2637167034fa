"""kill -9 of the listener and of its servers under DCMTK load: promise 1, and promise 2 up to the log."""

import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dicom_listener.crash_points import Step
from radstream.settings import Settings, process_environment
from radstream.stack.site import Site
from tests.crash.audit import Auditor, unfinished
from tests.crash.modalities import Modalities, Modality
from tests.crash.storm import AT_RANDOM, SERVERS, Storm, plan_of
from tests.running import Service, until, unused_port

pytestmark = pytest.mark.stack

SENDERS = 4
DRAIN_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class Size:
    """How often each named step, the listener at random and each server are killed."""

    steps: int
    at_random: int
    servers: int


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(Size(steps=1, at_random=3, servers=1), marks=pytest.mark.timeout(400), id="short"),
        pytest.param(
            Size(steps=15, at_random=120, servers=6), marks=[pytest.mark.crash, pytest.mark.timeout(2400)], id="long"
        ),
    ],
)
def test_nothing_acknowledged_is_lost_and_nothing_stands_twice(
    size: Size, site: Site, service: Callable[..., Service], tmp_path: Path
) -> None:
    """Each acknowledged image is one event, one whole object and one row, whatever was killed, and when.

    An event without an acknowledgement is an image that was received whole. RADSTREAM_TEST_SEED repeats a run's plan.
    """
    seed = int(process_environment().get("RADSTREAM_TEST_SEED", secrets.randbelow(10**9)))
    print(f"RADSTREAM_TEST_SEED={seed}")  # noqa: T201 - pytest shows it with a failure, `make crash` always
    rng = random.Random(seed)  # noqa: S311 - no secret
    calling_ae, port, spool = f"C{seed}", unused_port(), tmp_path / "spool"
    auditor = Auditor(Settings.from_environment(site.environment), calling_ae)
    listener = service(
        "dicom_listener",
        RADSTREAM_DICOM_PORT=str(port),
        RADSTREAM_SPOOL_DIR=str(spool),
        RADSTREAM_LISTENER_SLOT=calling_ae,
        RADSTREAM_LISTENER_PROCESSES="2",
        RADSTREAM_ACK_DEADLINE_SECONDS="2",
        RADSTREAM_SPOOL_CHECKPOINT_SECONDS="5",
    )
    modalities = Modalities.start(SENDERS, lambda number: Modality(calling_ae, tmp_path, auditor, seed + number), port)
    storm = Storm(listener, spool, site, rng)

    storm.run(plan_of(rng, steps=size.steps, at_random=size.at_random, servers=size.servers))
    modalities.end()
    until(lambda: modalities.finished, DRAIN_SECONDS, "images are not acknowledged")
    until(lambda: not unfinished(spool), DRAIN_SECONDS, "images still wait in the spool")
    books = auditor.books(modalities.sent, modalities.acknowledged)

    hits = dict.fromkeys(Step, size.steps) | {AT_RANDOM: size.at_random} | dict.fromkeys(SERVERS, size.servers)
    assert books.breaches() == []
    assert len(books.acknowledged) > sum(storm.hits.values())
    assert storm.hits == hits
    assert storm.caught >= sum(storm.hits.values())
    assert storm.ended >= size.steps * len(Step)
    print(  # noqa: T201 - the figures of a long run
        f"{len(books.sent)} sent, {len(books.acknowledged)} acknowledged, {len(books.events)} events, "
        f"{sum(storm.hits.values())} kills that hit {storm.caught} images in flight, {storm.missed} that hit nothing"
    )
