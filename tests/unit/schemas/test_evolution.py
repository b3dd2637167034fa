"""Schemas may grow but never break: BACKWARD_TRANSITIVE against each released version."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import avro.schema
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from schemas.codec import avro_text, type_of_record

RELEASED = sorted((Path(__file__).parent / "released").glob("*.avsc"))


def _can_read(reader: str, writer: str) -> bool:
    checker = ReaderWriterCompatibilityChecker()
    found = checker.get_compatibility(avro.schema.parse(reader), avro.schema.parse(writer))
    return bool(found.compatibility is SchemaCompatibilityType.compatible)


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.stem)
def test_today_reads_what_was_released(released: Path) -> None:
    """A reader of today's schema reads every record that any released version wrote."""
    assert _can_read(avro_text(released.stem.split(".")[0]), released.read_text())


def test_a_breaking_change_is_noticed() -> None:
    """The check above can fail: a new field without a default can't read old records."""
    old = avro_text("Tick")
    new = json.loads(old)
    new["fields"].append({"name": "mood", "type": "string"})

    assert not _can_read(json.dumps(new), old)


@pytest.mark.parametrize("record", type_of_record)
def test_each_record_was_released(record: str) -> None:
    """Each record has its first version among the released ones."""
    assert f"{record}.v1" in {path.stem for path in RELEASED}


@pytest.mark.parametrize("record", type_of_record)
def test_each_field_says_what_it_means(record: str) -> None:
    """Each field has a doc; numbers and times say their unit, each enum has a default."""
    for name, kind, doc in _fields(json.loads(avro_text(record))):
        assert doc, name
        if kind in {"int", "long", "double"}:
            assert any(sign in doc for sign in "()"), f"{name} has no unit: {doc}"


@pytest.mark.parametrize("record", type_of_record)
def test_dataclass_and_schema_name_the_same_fields(record: str) -> None:
    """The two faces of a record can't drift apart."""
    schema = json.loads(avro_text(record))

    assert [one.name for one in fields(type_of_record[record])] == [one["name"] for one in schema["fields"]]


def _fields(schema: dict[str, Any]) -> list[tuple[str, Any, str]]:
    found = []
    for one in schema["fields"]:
        kind = one["type"]
        kind = next((part for part in kind if part != "null"), kind) if isinstance(kind, list) else kind
        if isinstance(kind, dict) and kind["type"] == "enum":
            assert kind["default"] in kind["symbols"]
        found.append((one["name"], kind["type"] if isinstance(kind, dict) else kind, one.get("doc", "")))
    return found
