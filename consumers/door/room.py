"""How much of what was sent is in hand at one time. Pure; one thread uses it."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from consumers.door.words import Problem


class Place:
    """What one request takes of the room."""

    def __init__(self, room: "Room") -> None:
        self._room = room
        self._images = 0
        self._bytes = 0

    def image(self, count: int = 1) -> None:
        """Take the place of images; raise Problem when there is none."""
        self._room.take(count, 0)
        self._images += count

    def bytes(self, count: int) -> None:
        """Take memory for bytes that are coming; raise Problem when there is none."""
        self._room.take(0, count)
        self._bytes += count

    def leave(self) -> None:
        """Give everything back."""
        self._room.take(-self._images, -self._bytes)
        self._images = self._bytes = 0


class Room:
    """Images and bytes in hand, and their limits."""

    def __init__(self, images: int, most_bytes: int) -> None:
        self._most_images = images
        self._most_bytes = most_bytes
        self.images = 0
        self.bytes = 0

    def take(self, images: int, count: int) -> None:
        """Take a part of the room, or give it back; raise Problem when it is not there."""
        if self.images + images > self._most_images or self.bytes + count > self._most_bytes:
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "As many images are in hand as may be: ask again in a moment.")
        self.images += images
        self.bytes += count

    @contextmanager
    def place(self) -> Iterator[Place]:
        """Give a place, and take it back at the end."""
        place = Place(self)
        try:
            yield place
        finally:
            place.leave()
