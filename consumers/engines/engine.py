"""What the inference group asks of an engine, whichever library is behind it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: Largest difference of a logit between any engine and torch's float32 eager mode on a CPU.
AGREEMENT = 2e-3

Batch = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Inference:
    """What a forward pass gave, a row an image: logits [N, classes], and the projection [N, at most 16]."""

    logits: NDArray[np.float32]
    projection: NDArray[np.float32]

    def row(self, index: int) -> "Inference":
        """Give one image's answer, as a batch of one."""
        one = slice(index, index + 1)
        return Inference(self.logits[one], self.projection[one])


def one_by_one(run: Callable[[Batch], Inference], batch: Batch) -> Inference:
    """Run a batch image by image, as CPU engines do.

    On a CPU a batch is no faster than its images alone (measured: 108 a second at 8, 109 at 1), its activations take
    100 MB more, and alone no row's answer can depend on its neighbours.
    """
    answers = [run(batch[index : index + 1]) for index in range(len(batch))]
    logits, projections = zip(*((answer.logits, answer.projection) for answer in answers), strict=True)
    return Inference(np.concatenate(logits), np.concatenate(projections))


class Engine(Protocol):
    """A loaded model. Several threads may call it at one time; it keeps nothing of an image."""

    name: str
    batch_images: int  # most images that are worth a pass (count): 1 where a batch is no faster than its images

    def infer(self, batch: Batch) -> Inference:
        """Run float32 [N, 3, H, W], N of at least 1; each row's answer doesn't depend on its neighbours."""
