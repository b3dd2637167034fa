"""kill -9 amid 200 images, on the real broker: nothing is lost and nothing counts twice (promises 1 to 3)."""

import gc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from radstream.spool.spool import waiting
from schemas.inference_completed import InferenceCompleted
from tests.e2e.conftest import TICK_SECONDS
from tests.e2e.flood import Pacs, write_films
from tests.e2e.system import System
from tests.running import until

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(400),
    # pynetdicom leaves the socket of a refused connection to the garbage collector (see `collected`)
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

IMAGES = 200
#: The victim dies when so many are acknowledged.
KILL_AFTER = 60
DONE_SECONDS = 150.0


@pytest.fixture
def collected() -> Iterator[None]:
    """Collect what pynetdicom left, here, so that no other test is blamed for it."""
    yield
    gc.collect()


def in_flight(victim: str, system: System, pacs: Pacs, events: set[UUID], counted_before: int) -> int:
    """Count the images that the victim, frozen, has in hand: begun and not done."""
    if victim == "dicom_listener":
        # Neither acknowledged nor unsent: files that were arriving, and images that were being forwarded.
        return len(list(system.settings.spool.glob("*/*.part"))) + len(waiting(system.settings.spool))
    done = [one for one in system.completed() if one.event_id in events]
    if victim == "inference":
        return len(pacs.acknowledged) - len(done)
    return len(done) - (system.counted() - counted_before)


@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize("victim", ["dicom_listener", "inference", "streams"])
def test_crash_in_the_middle_of_200_images_loses_and_doubles_nothing(
    victim: str, system: System, tmp_path: Path
) -> None:
    """Each acknowledged image is one event, one result of the model version and one count in the windows."""
    films = write_films(tmp_path, IMAGES)
    events = set(system.events(films))
    assert len(events) == IMAGES
    settle(system)
    counted_before = system.counted()
    pacs = Pacs(films, system.peer).start()

    until(lambda: len(pacs.acknowledged) >= KILL_AFTER, 60, "the images are not taken")
    undone: list[int] = []

    def in_the_middle() -> bool:
        undone.append(in_flight(victim, system, pacs, events, counted_before))
        return undone[-1] > 0

    killed = system.kill9(victim, in_the_middle)
    acknowledged_then = len(pacs.acknowledged)
    system.wait_restarted(victim, killed)
    until(lambda: pacs.finished, DONE_SECONDS, "images are not acknowledged")

    # The others may have images in hand when the last one is acknowledged already.
    assert acknowledged_then < IMAGES or victim != "dicom_listener", "the kill came after the last image"
    assert undone[-1] > 0, f"nothing was in flight when {victim} was killed"
    assert system.pid(victim) != killed
    results = of_the_log(system, events)
    assert Counter(one.event_id for one in results) == Counter(dict.fromkeys(events, 1))
    assert len({(one.event_id, one.model, one.model_version, one.role) for one in results}) == IMAGES
    assert Counter(one.event_id for one in system.received() if one.event_id in events) == Counter(events)
    assert len(system.stored(events)) == IMAGES
    settle(system)
    assert system.counted() == counted_before + IMAGES


def of_the_log(system: System, events: set[UUID]) -> list[InferenceCompleted]:
    """Wait until each event has a result; give all results of them, so that a second one would be seen."""
    system.results_of(events)
    return [one for one in system.completed() if one.event_id in events]


def settle(system: System) -> None:
    """Wait until the windows count every result of the log, and a tick more, so that a double count would show."""
    until(lambda: system.counted() >= len(system.completed()), 90, "the windows lag behind the log")
    seen = []

    def a_tick_later() -> bool:
        seen.append(system.counted())
        return len(seen) > TICK_SECONDS / 0.2 and seen[-1] == seen[-2]

    until(a_tick_later, 60, "the windows don't come to rest")
