"""What a batch waits for, and for how long."""

import threading
import time
from dataclasses import dataclass

from dicom_listener.forwarding.gathering import GATHER_SECONDS, Gathering


@dataclass
class _Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_batch_waits_for_an_image_that_has_begun_to_arrive() -> None:
    """Until it is handed on; the clock stands still, so nothing else ends the wait."""
    gathering = Gathering(_Clock())
    image = gathering.begun("image")
    waiting = threading.Thread(target=gathering.wait)
    waiting.start()
    waiting.join(0.2)
    waited = waiting.is_alive()

    gathering.ended(image)
    waiting.join(30)

    assert waited
    assert not waiting.is_alive()


def test_nobody_waits_where_nothing_arrives_or_what_takes_long() -> None:
    """A large image, or one over a slow line: it goes in a later batch."""
    clock = _Clock()
    gathering = Gathering(clock)
    gathering.wait()
    gathering.begun("large")
    clock.now = 2 * GATHER_SECONDS

    waiting = threading.Thread(target=gathering.wait)
    waiting.start()
    waiting.join(30)

    assert not waiting.is_alive()


def test_the_wait_has_an_end() -> None:
    """Images that begin one after another hold no batch back for longer."""
    gathering = Gathering()
    gathering.begun("image")
    began = time.monotonic()

    gathering.wait()

    assert time.monotonic() - began >= GATHER_SECONDS / 2


def test_what_was_given_up_twice_is_no_error() -> None:
    """An association that breaks off while its image is being answered."""
    gathering = Gathering()
    image = gathering.begun("image")

    gathering.ended(image)
    gathering.ended(image)
