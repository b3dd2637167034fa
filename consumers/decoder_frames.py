"""How a decoder process and its owner talk: JSON and raw bytes, so that hostile pixels can't send code back."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from consumers.imaging.preprocess import InputSpec
from schemas.errors import NotEvaluable
from schemas.words import Reason

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from consumers.imaging.prepare import Prepared

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


def ask(link: "Connection[bytes, bytes]", part10: bytes, spec: InputSpec) -> None:
    """Send one image to a decoder."""
    link.send_bytes(json.dumps(asdict(spec)).encode())
    link.send_bytes(part10)


def asked(link: "Connection[bytes, bytes]") -> tuple[bytes, InputSpec]:
    """Take one image to decode; raises EOFError when the owner is gone."""
    fields = json.loads(link.recv_bytes())
    spec = InputSpec(fields["height"], fields["width"], tuple(fields["mean"]), tuple(fields["std"]))
    return link.recv_bytes(), spec


def answer(link: "Connection[bytes, bytes]", outcome: "Prepared | NotEvaluable") -> None:
    """Send back what became of the image."""
    if isinstance(outcome, NotEvaluable):
        link.send_bytes(json.dumps({"reason": outcome.reason}).encode())
        return
    head = {
        "shape": outcome.tensor.shape,
        "statistics": outcome.statistics,
        "acquisition": outcome.acquisition,
        "needs_review": outcome.needs_review,
        "acquired_at": outcome.acquired_at,
    }
    link.send_bytes(json.dumps(head).encode())
    link.send_bytes(np.ascontiguousarray(outcome.tensor).data.cast("B"))


def answered(link: "Connection[bytes, bytes]", spec: InputSpec) -> Decoded:
    """Take a decoder's answer; raises NotEvaluable, or EOFError, OSError, ValueError when it died or talks nonsense."""
    head = json.loads(link.recv_bytes(_MAX_HEAD_BYTES))
    if "reason" in head:
        raise NotEvaluable(Reason(head["reason"]))
    shape = (_CHANNELS, spec.height, spec.width)
    if tuple(head["shape"]) != shape:
        raise ValueError(f"a tensor of {head['shape']} where {shape} was asked for")
    tensor = np.frombuffer(link.recv_bytes(), np.float32).reshape(shape)
    return Decoded(
        tensor,
        head["statistics"],
        head["acquisition"],
        needs_review=head["needs_review"],
        acquired_at=head["acquired_at"],
    )
