"""The command set of a C-STORE: read and written as it stands on the wire (PS3.7 6.3.1, 9.3.1).

Always implicit VR little endian. pynetdicom reads every other command.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from schemas.errors import UnparsableDataSet

C_STORE_RQ = 0x0001
_C_STORE_RSP = 0x8001
_NO_DATA_SET = 0x0101
_GROUP = 0x0000

_HEADER = struct.Struct("<HHI")
_US = struct.Struct("<H")

_GROUP_LENGTH = 0x0000
_CLASS_UID = 0x0002
_FIELD = 0x0100
_MESSAGE_ID = 0x0110
_RESPONDED_ID = 0x0120
_PRIORITY = 0x0700
_DATA_SET_TYPE = 0x0800
_STATUS = 0x0900
_INSTANCE_UID = 0x1000

HIGH_PRIORITY = 0x0001  # PS3.7 E.1: 0 medium, 1 high, 2 low


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """A C-STORE request whose data set follows."""

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str
    priority: int


def store_request(command: bytes) -> StoreRequest | None:
    """Read a C-STORE request; None for any other command or one without a data set.

    Raises UnparsableDataSet when the bytes are no command set.
    """
    values = dict(_elements(command))
    if _number(values, _FIELD) != C_STORE_RQ or _number(values, _DATA_SET_TYPE) == _NO_DATA_SET:
        return None
    return StoreRequest(
        message_id=_number(values, _MESSAGE_ID),
        sop_class_uid=_uid_text(values, _CLASS_UID),
        sop_instance_uid=_uid_text(values, _INSTANCE_UID),
        priority=_number(values, _PRIORITY),
    )


def store_response(request: StoreRequest, status: int) -> bytes:
    """Write the answer to a C-STORE (PS3.7 table 9.3-2).

    >>> len(store_response(StoreRequest(1, "1.2", "1.2.3", 0), 0)) % 2
    0
    """
    body = b"".join(
        (
            _element(_CLASS_UID, _uid_bytes(request.sop_class_uid)),
            _element(_FIELD, _US.pack(_C_STORE_RSP)),
            _element(_RESPONDED_ID, _US.pack(request.message_id)),
            _element(_DATA_SET_TYPE, _US.pack(_NO_DATA_SET)),
            _element(_STATUS, _US.pack(status)),
            _element(_INSTANCE_UID, _uid_bytes(request.sop_instance_uid)),
        )
    )
    return _element(_GROUP_LENGTH, struct.pack("<I", len(body))) + body


def _elements(command: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(command):
        if at + _HEADER.size > len(command):
            raise UnparsableDataSet("the command set ends within an element")
        group, element, length = _HEADER.unpack_from(command, at)
        at += _HEADER.size
        if group != _GROUP or at + length > len(command):
            raise UnparsableDataSet(f"element ({group:04x},{element:04x}) of {length} bytes is no part of a command")
        yield element, command[at : at + length]
        at += length


def _number(values: dict[int, bytes], element: int) -> int:
    value = values.get(element, b"")
    return int(_US.unpack(value)[0]) if len(value) == _US.size else 0


def _uid_text(values: dict[int, bytes], element: int) -> str:
    return values.get(element, b"").rstrip(b"\0 ").decode("ascii", "replace")


def _uid_bytes(uid: str) -> bytes:
    value = uid.encode("ascii", "replace")
    return value + b"\0" * (len(value) % 2)


def _element(element: int, value: bytes) -> bytes:
    return _HEADER.pack(_GROUP, element, len(value)) + value
