"""How a decoder process and its owner talk: JSON about shared bytes, so that hostile pixels can't send code back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from consumers.decoding.shared_area import SharedArea
from consumers.imaging.inputs import InputSpec
from schemas.errors import NotEvaluable
from schemas.words import Reason, ReviewReason

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from consumers.imaging.prepare import Prepared

#: A file as it was fetched or sent.
Content = bytes | bytearray

_CHANNELS = 3
_FLOAT_BYTES = 4
#: The tensors of one image: many models of the largest size (bytes).
OUTPUT_BYTES = 64 * 1024 * 1024
#: An answer's head is a page of numbers (bytes).
_MAX_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image that is ready for a network: `imaging.prepare.Prepared`, without the room that the decoders take."""

    tensor: NDArray[np.float32]  # [3, H, W], normalised
    statistics: Mapping[str, float]
    acquisition: Mapping[str, float]
    needs_review: bool
    acquired_at: float | None = None  # by the modality's clock (Unix seconds)
    quality: Mapping[str, float] = field(default_factory=dict)
    flags: tuple[ReviewReason, ...] = ()


def ask(link: "Connection[bytes, bytes]", size_bytes: int, specs: Sequence[InputSpec]) -> None:
    """Point a decoder to one image at the start of the shared input, and say which tensors are wanted of it."""
    link.send_bytes(json.dumps({"bytes": size_bytes, "specs": [asdict(spec) for spec in specs]}).encode())


def asked(link: "Connection[bytes, bytes]") -> tuple[int, list[InputSpec]]:
    """Take one image to decode: its size, and what is wanted; raises EOFError when the owner is gone."""
    wanted = json.loads(link.recv_bytes())
    return wanted["bytes"], [
        InputSpec(fields["height"], fields["width"], tuple(fields["mean"]), tuple(fields["std"]))
        for fields in wanted["specs"]
    ]


def answer(link: "Connection[bytes, bytes]", outcome: "Sequence[Prepared] | NotEvaluable", room: SharedArea) -> None:
    """Say what became of the image; its tensors lie in the shared output, one behind the other."""
    if isinstance(outcome, NotEvaluable):
        link.send_bytes(json.dumps({"reason": outcome.reason, "doubts": outcome.doubts}).encode())
        return
    at = 0
    for one in outcome:
        room.view(at, one.tensor.nbytes)[:] = np.ascontiguousarray(one.tensor).data.cast("B")
        at += one.tensor.nbytes
    heads = [
        {
            "statistics": one.statistics,
            "acquisition": one.acquisition,
            "needs_review": one.needs_review,
            "acquired_at": one.acquired_at,
            "quality": one.quality,
            "flags": one.flags,
        }
        for one in outcome
    ]
    link.send_bytes(json.dumps({"images": heads}).encode())


def answered(link: "Connection[bytes, bytes]", specs: Sequence[InputSpec], room: SharedArea) -> tuple[Decoded, ...]:
    """Take a decoder's answer, an image for each spec in order.

    Raises NotEvaluable, or EOFError, OSError, ValueError, KeyError, TypeError when it died or talks nonsense.
    """
    head = json.loads(link.recv_bytes(_MAX_HEAD_BYTES))
    if "reason" in head:
        raise NotEvaluable(Reason(head["reason"]), " ".join(map(ReviewReason, head["doubts"])))
    at, found = 0, []
    for fields, spec in zip(head["images"], specs, strict=True):
        shape = (_CHANNELS, spec.height, spec.width)
        size = _FLOAT_BYTES * prod(shape)
        # A copy: the room is the next image's.
        tensor = np.frombuffer(room.view(at, size), np.float32).reshape(shape).copy()
        found.append(_decoded(tensor, fields))
        at += size
    return tuple(found)


def _decoded(tensor: NDArray[np.float32], fields: Mapping[str, Any]) -> Decoded:
    return Decoded(
        tensor,
        fields["statistics"],
        fields["acquisition"],
        needs_review=fields["needs_review"],
        acquired_at=fields["acquired_at"],
        quality=fields["quality"],
        flags=tuple(map(ReviewReason, fields["flags"])),
    )
