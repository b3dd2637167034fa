"""What an object store promises, asked of the one in memory and of the S3 server alike."""

import io
from uuid import uuid4

import pytest

from radstream.objects.stores import MemoryObjects, Objects, s3_objects
from schemas.errors import ObjectMissing


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.stack)])
def objects(request: pytest.FixtureRequest) -> Objects:
    """Give a store of each kind."""
    return MemoryObjects() if request.param == "memory" else s3_objects(request.getfixturevalue("stack"))


@pytest.fixture
def key() -> str:
    """Give a key that nobody used, in folders as the instances' keys are."""
    return f"instances/{uuid4().hex[:2]}/{uuid4().hex}.dcm"


def put(objects: Objects, key: str, body: bytes) -> None:
    """Store bytes."""
    objects.put(key, io.BytesIO(body), len(body))


class TestObjects:
    """One class for both."""

    @pytest.mark.parametrize("size", [0, 1, 100_000, 11_000_000])
    def test_what_was_put_comes_back(self, objects: Objects, key: str, size: int) -> None:
        """Byte for byte, of any size."""
        body = bytes(range(256)) * (size // 256) + bytes(size % 256)

        put(objects, key, body)

        room = bytearray(size)
        assert objects.get(key) == body
        assert (objects.get_into(key, memoryview(room)), room) == (size, body)
        assert objects.size(key) == size

    def test_what_has_no_room_is_not_written(self, objects: Objects, key: str) -> None:
        """The caller hears the whole size, and nothing stands beyond his memory."""
        put(objects, key, b"film" * 1_000_000)
        room = bytearray(8)

        size = objects.get_into(key, memoryview(room)[:6])

        assert (size, bytes(room)) == (4_000_000, b"filmfi\0\0")

    def test_putting_again_is_idempotent(self, objects: Objects, key: str) -> None:
        """The key is the hash: the same bytes under the same key change nothing."""
        put(objects, key, b"film")

        put(objects, key, b"film")

        assert objects.get(key) == b"film"

    def test_no_more_than_the_given_size_is_read(self, objects: Objects, key: str) -> None:
        """A stream that goes on behind the object stays where it is."""
        body = io.BytesIO(b"filmrest")

        objects.put(key, body, 4)

        assert (objects.get(key), body.read()) == (b"film", b"rest")

    @pytest.mark.parametrize("count", [0, 1, 20])
    def test_small_ones_that_were_put_together_are_all_there(self, objects: Objects, key: str, count: int) -> None:
        """When the call returns, each under its key; and again."""
        bodies = {f"{key}.{number}": b"map" * number for number in range(count)}

        for _ in range(2):
            objects.put_all(bodies)

            assert {name: objects.get(name) for name in bodies} == bodies

    def test_pieces_in_memory_are_one_object(self, objects: Objects, key: str) -> None:
        """In their order."""
        pieces = [memoryview(bytes([number]) * size) for number, size in enumerate((1_000_000, 70_000, 3))]

        objects.put(key, pieces, 1_070_003)

        assert objects.get(key) == b"".join(pieces)

    def test_an_absent_object_is_missing(self, objects: Objects, key: str) -> None:
        """That is an answer, not a failure to answer."""
        assert objects.size(key) is None
        with pytest.raises(ObjectMissing):
            objects.get(key)
        with pytest.raises(ObjectMissing):
            objects.get_into(key, memoryview(bytearray(1)))

    def test_a_removed_object_is_missing(self, objects: Objects, key: str) -> None:
        """And removing it again is no error."""
        put(objects, key, b"film")

        objects.remove(key)
        objects.remove(key)

        assert objects.size(key) is None
