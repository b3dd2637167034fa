"""Avro in the registry's wire format: one zero byte, the schema's id (4 bytes, big endian), the record.

Source: Confluent's wire format. The registry itself is behind `SchemaIds`, so this file does no I/O of its own.
"""

import io
import json
import struct
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from types import UnionType
from typing import Any, Protocol, cast, get_args, get_origin, get_type_hints

import fastavro
from fastavro.types import AvroMessage, Schema

from schemas.errors import UndecodableMessage
from schemas.inference_completed import InferenceCompleted
from schemas.instance_received import InstanceReceived
from schemas.message_dead_lettered import MessageDeadLettered
from schemas.model_deployed import ModelDeployed
from schemas.pane_updated import PaneUpdated
from schemas.tick import Tick
from schemas.topics import RECORD_OF
from schemas.window_evaluated import WindowEvaluated

type_of_record: Mapping[str, type] = {
    kind.__name__: kind
    for kind in (
        InstanceReceived,
        InferenceCompleted,
        PaneUpdated,
        Tick,
        WindowEvaluated,
        MessageDeadLettered,
        ModelDeployed,
    )
}

_MAGIC = 0
_HEADER = struct.Struct(">bI")


class SchemaIds(Protocol):
    """What the codec needs of a registry: look-ups only, cached by whoever implements it."""

    def id_of(self, topic: str) -> int:
        """Give the id of our schema under the topic's subject; raise SchemaMissing where it is not registered."""

    def schema_of(self, schema_id: int) -> str:
        """Give the text of a writer's schema; raise SchemaMissing where there is none."""


def avro_text(record: str) -> str:
    """Read a record's schema as it stands in `schemas/avro/`."""
    return resources.files("schemas").joinpath("avro", f"{record}.avsc").read_text("utf-8")


@cache
def avro_schema(record: str) -> Schema:
    """Parse a record's schema once."""
    return fastavro.parse_schema(json.loads(avro_text(record)))


class Codec:
    """Records to bytes and back, by the schemas that a registry knows."""

    def __init__(self, ids: SchemaIds) -> None:
        self._ids = ids
        self._writers: dict[int, Schema] = {}

    def encode(self, topic: str, record: object) -> bytes:
        """Write a record as the topic's value; raise SchemaMissing when the schema is not deployed."""
        body = io.BytesIO()
        body.write(_HEADER.pack(_MAGIC, self._ids.id_of(topic)))
        fastavro.schemaless_writer(body, avro_schema(RECORD_OF[topic]), cast("AvroMessage", _plain(record)))
        return body.getvalue()

    def decode(self, data: bytes | None) -> Any:
        """Read a value back into its dataclass, by the writer's schema resolved to ours.

        Raises UndecodableMessage for anything that is no record of ours, RegistryDown when the registry is away.
        """
        if data is None or len(data) < _HEADER.size or data[0] != _MAGIC:
            raise UndecodableMessage("the value does not begin with the registry's wire format")
        writer = self._writer(_HEADER.unpack_from(data)[1])
        name = str(cast("Mapping[str, Any]", writer)["name"]).rpartition(".")[2]
        if name not in type_of_record:
            raise UndecodableMessage(f"the writer's schema is {name}, which is no record of ours")
        try:
            values = fastavro.schemaless_reader(io.BytesIO(data[_HEADER.size :]), writer, avro_schema(name))
        except (
            EOFError,
            ValueError,
            IndexError,
            KeyError,
            OverflowError,
            TypeError,
            fastavro.schema.SchemaParseException,
        ) as error:
            raise UndecodableMessage(f"{len(data)} bytes are no {name}") from error
        return _record(type_of_record[name], cast("Mapping[str, Any]", values))

    def _writer(self, schema_id: int) -> Schema:
        if schema_id not in self._writers:
            self._writers[schema_id] = fastavro.parse_schema(json.loads(self._ids.schema_of(schema_id)))
        return self._writers[schema_id]


def _plain(record: Any) -> dict[str, Any]:
    """Turn a dataclass into what fastavro writes, those in it too; it takes enums, times and maps as they are."""
    values = {name: getattr(record, name) for name in _names(record.__class__)}
    for name in _records_in(record.__class__):
        value = values[name]
        values[name] = {key: _plain(one) for key, one in value.items()} if isinstance(value, Mapping) else _plain(value)
    return values


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


@cache
def _makers(kind: type) -> Mapping[str, type]:
    """Say which fields hold one of our enums or dataclasses, alone, optional, in a list or as a map's values."""
    return {name: made for name, hint in get_type_hints(kind).items() if (made := _ours(hint)) is not None}


@cache
def _records_in(kind: type) -> tuple[str, ...]:
    """Say which fields hold dataclasses."""
    return tuple(name for name, made in _makers(kind).items() if is_dataclass(made))


def _ours(hint: Any) -> type | None:
    if get_origin(hint) is not None or isinstance(hint, UnionType):
        return next((made for part in get_args(hint) if (made := _ours(part)) is not None), None)
    return hint if isinstance(hint, type) and (issubclass(hint, StrEnum) or is_dataclass(hint)) else None


def _record(kind: type, values: Mapping[str, Any]) -> Any:
    made = {name: _made(maker, values[name]) for name, maker in _makers(kind).items()}
    return kind(**{**values, **made})


def _made(kind: type, value: Any) -> Any:
    if value is None:
        return value
    if isinstance(value, list):
        return [_made(kind, item) for item in value]
    if isinstance(value, Mapping):
        return (
            _record(kind, value)
            if is_dataclass(kind) and set(value) == set(_names(kind))
            else {key: _record(kind, item) for key, item in value.items()}
        )
    return kind(value)
