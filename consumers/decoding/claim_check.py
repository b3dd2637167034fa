"""Fetch: from an event to the bytes it stands for, and proof that they are those."""

import struct
from typing import TYPE_CHECKING

from schemas.errors import NotEvaluable, ObjectCorrupt
from schemas.identity import data_set_hasher
from schemas.instance_received import InstanceReceived
from schemas.words import Reason

if TYPE_CHECKING:
    from radstream.objects.stores import Objects  # with an HTTP client, which a decoder needs not

#: A larger object is no radiograph (bytes): fetching it would hurt the images beside it.
MAX_OBJECT_BYTES = 512 * 1024 * 1024

#: PS3.10 7.1: 128 bytes of preamble, "DICM", then (0002,0000) UL: the length of what follows of group 0002.
_META_AT = 132
_GROUP_LENGTH = struct.Struct("<HH2sHI")
_GROUP_LENGTH_HEAD = (0x0002, 0x0000, b"UL", 4)


def fetch(objects: "Objects", event: InstanceReceived, room: memoryview | None = None) -> memoryview:
    """Read an event's object, into `room` where one is given, and give the part of it that holds the object.

    Raises ObjectMissing, ObjectCorrupt, ObjectStoreDown, NotEvaluable when it is too large. The size and the hash are
    checked: what a model sees is what the sender sent.
    """
    found = read(objects, event, room)
    check(event, found)
    return found


def read(objects: "Objects", event: InstanceReceived, room: memoryview | None = None) -> memoryview:
    """Read an event's object as `fetch` does; its hash is still to be checked before anybody believes it."""
    if event.size_bytes > MAX_OBJECT_BYTES:
        raise NotEvaluable(Reason.UNSUPPORTED_PIXELS, f"{event.size_bytes} bytes")
    found = (memoryview(bytearray(event.size_bytes)) if room is None else room)[: event.size_bytes]
    size = objects.get_into(event.object_key, found)
    if size != event.size_bytes:
        raise ObjectCorrupt(f"{event.object_key} has {size} bytes, the event says {event.size_bytes}")
    return found


def check(event: InstanceReceived, found: memoryview) -> None:
    """Raise ObjectCorrupt where an object's hash is not its event's."""
    hasher = data_set_hasher(event.transfer_syntax_uid)
    hasher.update(found[data_set_at(found) :])
    if hasher.hexdigest() != event.sha256:
        raise ObjectCorrupt(f"{event.object_key} has another hash than the event")


def data_set_at(part10: bytes | memoryview) -> int:
    """Give the offset of the data set behind preamble and file meta; raises ObjectCorrupt.

    >>> data_set_at(bytes(128) + b"DICM" + bytes.fromhex("02000000554c04000a000000") + bytes(10))
    154
    """
    behind = _META_AT + _GROUP_LENGTH.size
    if len(part10) < behind or part10[128:_META_AT] != b"DICM":
        raise ObjectCorrupt(f"{len(part10)} bytes are no Part 10 file")
    *head, length = _GROUP_LENGTH.unpack_from(part10, _META_AT)
    if tuple(head) != _GROUP_LENGTH_HEAD or behind + length > len(part10):
        raise ObjectCorrupt("the file meta does not begin with its length")
    return int(behind + length)
