"""From an event to its bytes, with proof that they are those."""

import io
from dataclasses import replace

import pytest

from consumers.decoding.claim_check import MAX_OBJECT_BYTES, data_set_at, fetch
from radstream.objects.stores import MemoryObjects
from schemas.errors import NotEvaluable, ObjectCorrupt, ObjectMissing
from schemas.identity import data_set_hasher
from schemas.instance_received import InstanceReceived
from schemas.topics import RECEIVED_STAT
from tests.unit.schemas.samples import SAMPLES

SAMPLE = SAMPLES[RECEIVED_STAT]
META = bytes.fromhex("02000000554c040004000000") + b"meta"
DATA_SET = b"the data set's bytes as received"


@pytest.fixture
def stored() -> tuple[InstanceReceived, MemoryObjects]:
    """Store an object, and give its event."""
    assert isinstance(SAMPLE, InstanceReceived)
    whole = bytes(128) + b"DICM" + META + DATA_SET
    hasher = data_set_hasher(SAMPLE.transfer_syntax_uid)
    hasher.update(DATA_SET)
    objects = MemoryObjects()
    objects.put(SAMPLE.object_key, io.BytesIO(whole), len(whole))
    return replace(SAMPLE, size_bytes=len(whole), sha256=hasher.hexdigest()), objects


def test_the_whole_object_comes_back(stored: tuple[InstanceReceived, MemoryObjects]) -> None:
    """Preamble and meta included: the decoder reads the transfer syntax there."""
    event, objects = stored

    assert bytes(fetch(objects, event)).endswith(DATA_SET)


def test_other_meta_is_the_same_image(stored: tuple[InstanceReceived, MemoryObjects]) -> None:
    """The hash begins behind the file meta."""
    event, objects = stored
    whole = bytes(128) + b"DICM" + META.replace(b"meta", b"META") + DATA_SET
    objects.put(event.object_key, io.BytesIO(whole), len(whole))

    assert fetch(objects, event) == whole


def test_an_object_lies_where_it_was_wanted(stored: tuple[InstanceReceived, MemoryObjects]) -> None:
    """A decoder reads it there, without a copy; what stood behind it is not part of it."""
    event, objects = stored
    room = bytearray(b"x" * 1000)

    found = fetch(objects, event, memoryview(room))

    assert (len(found), room[event.size_bytes - 5 : event.size_bytes + 1]) == (event.size_bytes, b"eivedx")


@pytest.mark.parametrize(
    "damaged",
    [
        bytes(128) + b"DICM" + META + DATA_SET.replace(b"received", b"recieved"),
        bytes(128) + b"DICM" + META + DATA_SET[:-1],
        bytes(128) + b"NOPE" + META + DATA_SET,
        bytes(128) + b"DICM" + META.replace(b"\x04\x00\x00\x00meta", b"\xff\xff\xff\xffmeta") + DATA_SET,
        b"short",
    ],
)
def test_other_bytes_are_refused(stored: tuple[InstanceReceived, MemoryObjects], damaged: bytes) -> None:
    """What a model sees is what the sender sent, or nothing."""
    event, objects = stored
    objects.put(event.object_key, io.BytesIO(damaged), len(damaged))

    with pytest.raises(ObjectCorrupt):
        fetch(objects, replace(event, size_bytes=len(damaged)))


def test_another_size_is_refused(stored: tuple[InstanceReceived, MemoryObjects]) -> None:
    """Before anything is hashed."""
    event, objects = stored

    with pytest.raises(ObjectCorrupt, match="the event says"):
        fetch(objects, replace(event, size_bytes=event.size_bytes + 1))


def test_an_absent_object_is_missing_not_away(stored: tuple[InstanceReceived, MemoryObjects]) -> None:
    """Permanent: trying again would not bring it back."""
    event, objects = stored
    objects.remove(event.object_key)

    with pytest.raises(ObjectMissing):
        fetch(objects, event)


def test_a_monster_is_not_even_fetched(stored: tuple[InstanceReceived, MemoryObjects]) -> None:
    """It would take the memory of the images beside it."""
    event, _ = stored

    with pytest.raises(NotEvaluable, match="unsupported_pixels"):
        fetch(MemoryObjects(), replace(event, size_bytes=MAX_OBJECT_BYTES + 1))


def test_the_offset_is_behind_the_meta() -> None:
    """PS3.10 7.1: group 0002 begins with its own length."""
    assert data_set_at(bytes(128) + b"DICM" + META + DATA_SET) == 128 + 4 + len(META)
