"""What is about to be whole: images that a batch may wait for, a moment, so that they go together."""

import threading
import time
from collections.abc import Callable, Hashable
from typing import TypeVar

Image = TypeVar("Image", bound=Hashable)

#: How long a batch waits at most, and how long an image may have been arriving to be waited for (seconds): what takes
#: longer is large or comes over a slow line.
GATHER_SECONDS = 0.01


class Gathering:
    """Knows which images are arriving. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.Condition()
        self._begun: dict[Hashable, float] = {}

    def begun(self, image: Image) -> Image:
        """Note that an image begins to arrive, and give it."""
        with self._guard:
            self._begun[image] = self._clock()
        return image

    def ended(self, image: Hashable) -> None:
        """Note that it was handed on, or given up."""
        with self._guard:
            if self._begun.pop(image, None) is not None:
                self._guard.notify_all()

    def wait(self) -> None:
        """Wait for the images that will be whole in a moment."""
        now = self._clock()
        deadline, since = now + GATHER_SECONDS, now - GATHER_SECONDS
        with self._guard:
            while any(at > since for at in self._begun.values()) and (left := deadline - self._clock()) > 0:
                self._guard.wait(left)
