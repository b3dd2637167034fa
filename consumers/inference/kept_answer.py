"""A model's answer to one image as bytes that prove where they came from: version, arrays, tag. Pure.

    1 byte       version of this form
    1 byte       number of arrays
    each array:  1 byte length of its name, the name (ASCII), 1 byte number of axes, 4 bytes each axis, float32 values
    32 bytes     HMAC-SHA-256 of the key that it is kept under and of all of the above

All numbers are little-endian. Whoever can write to the store but does not know the key can neither change an answer nor
move it to another image.
"""

import hashlib
import hmac
import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Answer = Mapping[str, NDArray[np.float32]]

VERSION = 1
#: Logits, projection and a small map take a few kilobytes (bytes).
MAX_BYTES = 1024 * 1024
_TAG_BYTES = hashlib.sha256().digest_size
_MAX_ARRAYS, _MAX_AXES, _MAX_NAME = 16, 4, 32
_AXIS = struct.Struct("<I")
_FLOAT = np.dtype("<f4")


class NoAnswer(ValueError):
    """The bytes are no answer that we wrote under this key."""


def to_bytes(answer: Answer, key: str, secret: bytes) -> bytes:
    """Write an answer; raise ValueError for one that has no such form (too large, another type)."""
    out = bytearray((VERSION, len(answer)))
    for name, values in answer.items():
        if values.dtype != np.float32 or values.ndim > _MAX_AXES or not 0 < len(name) <= _MAX_NAME:
            raise ValueError(f"{name[:_MAX_NAME]}: {values.dtype} of {values.ndim} axes is not kept")
        out += bytes((len(name),)) + name.encode("ascii") + bytes((values.ndim,))
        out += b"".join(_AXIS.pack(axis) for axis in values.shape)
        out += np.ascontiguousarray(values, _FLOAT).tobytes()
    if len(answer) > _MAX_ARRAYS or len(out) + _TAG_BYTES > MAX_BYTES:
        raise ValueError(f"{len(answer)} arrays, {len(out)} bytes: more than is kept")
    return bytes(out) + _tag(memoryview(out), key, secret)


def from_bytes(kept: bytes, key: str, secret: bytes) -> dict[str, NDArray[np.float32]]:
    """Read an answer, bit for bit as it was written; raise NoAnswer for anything else.

    The tag is checked before anything else is looked at, so that only what we wrote is ever parsed.

    >>> written = to_bytes({"logits": np.array([0.5, -1.0], np.float32)}, "k", b"secret")
    >>> from_bytes(written, "k", b"secret")["logits"].tolist()
    [0.5, -1.0]
    """
    if not _TAG_BYTES < len(kept) <= MAX_BYTES:
        raise NoAnswer(f"{len(kept)} bytes")
    body = memoryview(kept)[:-_TAG_BYTES]
    if not hmac.compare_digest(kept[-_TAG_BYTES:], _tag(body, key, secret)):
        raise NoAnswer("another tag")
    if body[0] != VERSION:
        raise NoAnswer(f"version {body[0]}")
    try:
        return _arrays(body)
    except (IndexError, struct.error, ValueError) as error:
        raise NoAnswer("another form") from error


def _arrays(body: memoryview) -> dict[str, NDArray[np.float32]]:
    found: dict[str, NDArray[np.float32]] = {}
    at = 2
    for _ in range(body[1]):
        named = at + 1 + body[at]
        name, axes = bytes(body[at + 1 : named]).decode("ascii"), body[named]
        at = named + 1 + axes * _AXIS.size
        shape = tuple(size for (size,) in _AXIS.iter_unpack(body[named + 1 : at]))
        end = at + _FLOAT.itemsize * int(np.prod(shape, dtype=np.int64))
        found[name] = np.frombuffer(body[at:end], _FLOAT).reshape(shape).astype(np.float32)
        at = end
    if at != len(body):
        raise ValueError(f"{len(body) - at} bytes behind the last array")
    return found


def _tag(body: memoryview, key: str, secret: bytes) -> bytes:
    mac = hmac.new(secret, key.encode("ascii") + b"\0", hashlib.sha256)
    mac.update(body)
    return mac.digest()
