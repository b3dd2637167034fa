"""The beginning of a Part 10 file, as it arrives piece by piece (PS3.10 7.1)."""

import struct
from dataclasses import dataclass, field

from schemas.errors import UnparsableDataSet

_MAGIC_AT, _META_AT = 128, 132
_LONGEST_META = 64 * 1024  # bytes
_GROUP_LENGTH = struct.Struct("<HH2sHI")
_ELEMENT = struct.Struct("<HH2sH")
_LONG = struct.Struct("<I")
_LONG_VRS = frozenset({b"OB", b"OW", b"UN", b"UT", b"SQ", b"UC", b"UR"})
_CLASS_UID, _INSTANCE_UID, _SYNTAX_UID = 0x0002, 0x0003, 0x0010
_META_GROUP = 0x0002


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What the file says of itself; what stands in its data set may differ."""

    sop_class_uid: str
    transfer_syntax_uid: str
    sop_instance_uid: str = field(repr=False)


class FileHead:
    """Collects a file's preamble and file meta; memory is bounded."""

    def __init__(self) -> None:
        self._data = bytearray()

    def take(self, data: memoryview) -> FileMeta | None:
        """Take bytes; give the meta when it is whole, `rest` is then the data set's. Raises UnparsableDataSet."""
        self._data += data
        if len(self._data) < _META_AT + _GROUP_LENGTH.size:
            return None
        if self._data[_MAGIC_AT:_META_AT] != b"DICM":
            raise UnparsableDataSet("no DICM stands after the preamble")
        group, element, kind, _, length = _GROUP_LENGTH.unpack_from(self._data, _META_AT)
        if (group, element, kind) != (_META_GROUP, 0, b"UL") or length > _LONGEST_META:
            raise UnparsableDataSet("the file meta does not begin with its length, or is too long")
        end = _META_AT + _GROUP_LENGTH.size + length
        if len(self._data) < end:
            return None
        meta = _meta(memoryview(self._data)[_META_AT + _GROUP_LENGTH.size : end])
        self._data = self._data[end:]
        return meta

    @property
    def rest(self) -> memoryview:
        """The bytes after the meta, once it was given."""
        return memoryview(self._data)


def _meta(block: memoryview) -> FileMeta:
    values: dict[int, str] = {}
    at = 0
    try:
        while at < len(block):
            group, element, kind, length = _ELEMENT.unpack_from(block, at)
            at += _ELEMENT.size
            if kind in _LONG_VRS:
                (length,) = _LONG.unpack_from(block, at)
                at += _LONG.size
            if group != _META_GROUP or at + length > len(block):
                raise UnparsableDataSet("the file meta holds what is none of its group, or says too long a length")
            if element in {_CLASS_UID, _INSTANCE_UID, _SYNTAX_UID}:
                values[element] = bytes(block[at : at + length]).rstrip(b"\0 ").decode("ascii", "replace")
            at += length
        return FileMeta(values[_CLASS_UID], values[_SYNTAX_UID], values[_INSTANCE_UID])
    except (struct.error, KeyError) as error:
        raise UnparsableDataSet("the file meta ends within an element, or lacks class, instance or syntax") from error
