"""How a decoder process and its owner talk: JSON and raw bytes, so that hostile pixels can't send code back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from consumers.imaging.preprocess import InputSpec
from schemas.errors import NotEvaluable
from schemas.words import Reason

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from consumers.imaging.prepare import Prepared

#: A file as it was fetched or sent.
Content = bytes | bytearray

READY = b"ready"
_CHANNELS = 3
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


def ask(link: "Connection[bytes, bytes]", content: Content, specs: Sequence[InputSpec]) -> None:
    """Send one image to a decoder, with the inputs that are wanted of it."""
    link.send_bytes(json.dumps([asdict(spec) for spec in specs]).encode())
    link.send_bytes(content)


def asked(link: "Connection[bytes, bytes]") -> tuple[bytes, list[InputSpec]]:
    """Take one image to decode; raises EOFError when the owner is gone."""
    specs = [
        InputSpec(fields["height"], fields["width"], tuple(fields["mean"]), tuple(fields["std"]))
        for fields in json.loads(link.recv_bytes())
    ]
    return link.recv_bytes(), specs


def answer(link: "Connection[bytes, bytes]", outcome: "Sequence[Prepared] | NotEvaluable") -> None:
    """Send back what became of the image."""
    if isinstance(outcome, NotEvaluable):
        link.send_bytes(json.dumps({"reason": outcome.reason}).encode())
        return
    heads = [
        {
            "shape": one.tensor.shape,
            "statistics": one.statistics,
            "acquisition": one.acquisition,
            "needs_review": one.needs_review,
            "acquired_at": one.acquired_at,
        }
        for one in outcome
    ]
    link.send_bytes(json.dumps({"images": heads}).encode())
    for one in outcome:
        link.send_bytes(np.ascontiguousarray(one.tensor).data.cast("B"))


def answered(link: "Connection[bytes, bytes]", specs: Sequence[InputSpec]) -> tuple[Decoded, ...]:
    """Take a decoder's answer, an image for each spec in order.

    Raises NotEvaluable, or EOFError, OSError, ValueError, KeyError, TypeError when it died or talks nonsense.
    """
    head = json.loads(link.recv_bytes(_MAX_HEAD_BYTES))
    if "reason" in head:
        raise NotEvaluable(Reason(head["reason"]))
    return tuple(_decoded(link, one, spec) for one, spec in zip(head["images"], specs, strict=True))


def _decoded(link: "Connection[bytes, bytes]", head: Mapping[str, Any], spec: InputSpec) -> Decoded:
    shape = (_CHANNELS, spec.height, spec.width)
    if tuple(head["shape"]) != shape:
        raise ValueError(f"a tensor of {head['shape']} where {shape} was asked for")
    return Decoded(
        np.frombuffer(link.recv_bytes(), np.float32).reshape(shape),
        head["statistics"],
        head["acquisition"],
        needs_review=head["needs_review"],
        acquired_at=head["acquired_at"],
    )
