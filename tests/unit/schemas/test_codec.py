"""The codec: golden bytes, whole round trips, and clear words for what is no record."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import Codec, avro_text
from schemas.errors import SchemaMissing, UndecodableMessage
from schemas.topics import RECORD_OF, TICK
from tests.unit.schemas.samples import SAMPLES

GOLDEN = Path(__file__).parent / "golden"


#: In the order in which they came: a new record's id must not move the others' golden bytes.
RECORDS = (
    "InferenceCompleted",
    "InstanceReceived",
    "MessageDeadLettered",
    "PaneUpdated",
    "Tick",
    "WindowEvaluated",
    "ModelDeployed",
)


class Ids:
    """A registry of one id a record."""

    _names = RECORDS

    def id_of(self, topic: str) -> int:
        return self._names.index(RECORD_OF[topic]) + 1

    def schema_of(self, schema_id: int) -> str:
        if not 1 <= schema_id <= len(self._names):
            raise SchemaMissing(f"schema id {schema_id}")
        return avro_text(self._names[schema_id - 1])


@pytest.fixture
def codec() -> Codec:
    """Give a codec over a registry that knows our schemas."""
    return Codec(Ids())


@pytest.mark.parametrize("topic", SAMPLES)
def test_bytes_stay_what_they_were(codec: Codec, topic: str) -> None:
    """What version 1 of a schema wrote is written for ever: readers of old logs rely on it."""
    golden = GOLDEN / f"{RECORD_OF[topic]}.v1.hex"

    assert codec.encode(topic, SAMPLES[topic]).hex() == golden.read_text().strip()


@pytest.mark.parametrize("topic", SAMPLES)
def test_record_comes_back_whole(codec: Codec, topic: str) -> None:
    """Every field, enum, time and nested record survives the wire."""
    assert codec.decode(codec.encode(topic, SAMPLES[topic])) == SAMPLES[topic]


def _cut(data: bytes) -> bytes:
    return data[:-3]


def _magic(data: bytes) -> bytes:
    return b"\1" + data[1:]


def _header_only(data: bytes) -> bytes:
    return data[:5]


@pytest.mark.parametrize("spoil", [_cut, _magic, _header_only, lambda _: b"", lambda _: b"hello there"])
def test_spoiled_bytes_are_undecodable(codec: Codec, spoil: Callable[[bytes], bytes]) -> None:
    """Bytes that are no record raise one error of ours, whatever is wrong with them."""
    with pytest.raises((UndecodableMessage, SchemaMissing)):
        codec.decode(spoil(codec.encode(TICK, SAMPLES[TICK])))


def test_tombstone_is_no_record(codec: Codec) -> None:
    """A null value is refused in words, not with a TypeError."""
    with pytest.raises(UndecodableMessage):
        codec.decode(None)


def test_every_topic_with_a_record_has_a_sample() -> None:
    """A new topic can't come without golden bytes."""
    kinds: set[Any] = {RECORD_OF[topic] for topic in SAMPLES}

    assert kinds == set(RECORD_OF.values())
