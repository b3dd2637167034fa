"""File meta of our own, the same for the same image whoever sent it (PS3.10 7.1)."""

import struct

#: UUIDv5 of this product's name under the URL namespace (PS3.5 B.2).
IMPLEMENTATION_CLASS_UID = "2.25.63114528085767393830819697834960309855"
IMPLEMENTATION_VERSION_NAME = "RADSTREAM_1"

_PREAMBLE = b"\0" * 128 + b"DICM"
_SHORT = struct.Struct("<HH2sH")
_LONG = struct.Struct("<HH2sHI")
_GROUP = 0x0002


def preamble_and_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Write what stands before the data set: preamble, DICM and group 0002 in explicit VR little endian.

    Depends on nothing but its arguments, so the same image makes the same object.

    >>> head = preamble_and_meta("1.2.840.10008.5.1.4.1.1.1.1", "1.2.3", "1.2.840.10008.1.2.1")
    >>> head[128:132], len(head) % 2
    (b'DICM', 0)
    """
    elements = b"".join(
        (
            _LONG.pack(_GROUP, 0x0001, b"OB", 0, 2) + b"\0\1",
            _uid(0x0002, sop_class_uid),
            _uid(0x0003, sop_instance_uid),
            _uid(0x0010, transfer_syntax_uid),
            _uid(0x0012, IMPLEMENTATION_CLASS_UID),
            _text(0x0013, IMPLEMENTATION_VERSION_NAME),
        )
    )
    return _PREAMBLE + _SHORT.pack(_GROUP, 0x0000, b"UL", 4) + struct.pack("<I", len(elements)) + elements


def _uid(element: int, uid: str) -> bytes:
    value = uid.encode("ascii")
    value += b"\0" * (len(value) % 2)
    return _SHORT.pack(_GROUP, element, b"UI", len(value)) + value


def _text(element: int, text: str) -> bytes:
    value = text.encode("ascii")
    value += b" " * (len(value) % 2)
    return _SHORT.pack(_GROUP, element, b"SH", len(value)) + value
