"""What the inference group asks of an engine, whichever library is behind it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: Largest difference of a logit between any engine and torch's float32 eager mode on a CPU, at logits of size 1.
AGREEMENT = 2e-3
#: Largest difference between two engines by the graph's precision: in int8 they round at different places.
#: Measured: 0.085 of EfficientNet-Lite0 on 71 radiographs at logits up to 3.7, 0.106 of an untrained ResNet-50.
AGREEMENTS: Mapping[str, float] = {"float32": AGREEMENT, "int8": 0.2}

Batch = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Inference:
    """What a forward pass gave, a row an image: logits [N, classes], projection [N, at most 16], evidence, members.

    Evidence: [N, classes, h, w], what each place of the image adds to each logit (`architectures.pooled.evidence`), or
    [N, 1, h, w] where the architecture shows its attention instead; None where the package's graph gives none.
    Members: of an ensemble, each member's calibrated probabilities [N, members, classes]; None of a single network.
    """

    logits: NDArray[np.float32]
    projection: NDArray[np.float32]
    evidence: NDArray[np.float32] | None = None
    members: NDArray[np.float32] | None = None

    def row(self, index: int) -> "Inference":
        """Give one image's answer, as a batch of one."""
        one = slice(index, index + 1)
        evidence = None if self.evidence is None else self.evidence[one]
        members = None if self.members is None else self.members[one]
        return Inference(self.logits[one], self.projection[one], evidence, members)


def agreement(expected: NDArray[np.floating], precision: str = "float32") -> float:
    """Return the largest difference from what was expected that counts as agreement: rounding errs in shares.

    >>> agreement(np.array([0.5, -0.1])), agreement(np.array([300.0, -500.0]))
    (0.002, 1.0)
    """
    return AGREEMENTS[precision] * max(1.0, float(np.abs(expected).max()))


def one_by_one(run: Callable[[Batch], Inference], batch: Batch) -> Inference:
    """Run a batch image by image, as CPU engines do.

    On a CPU a batch is no faster than its images alone (measured: 108 a second at 8, 109 at 1), its activations take
    100 MB more, and alone no row's answer can depend on its neighbours.
    """
    answers = [run(batch[index : index + 1]) for index in range(len(batch))]
    logits, projections = zip(*((answer.logits, answer.projection) for answer in answers), strict=True)
    evidence = [answer.evidence for answer in answers if answer.evidence is not None]
    return Inference(
        np.concatenate(logits), np.concatenate(projections), np.concatenate(evidence) if evidence else None
    )


class Engine(Protocol):
    """A loaded model. Several threads may call it at one time; it keeps nothing of an image."""

    name: str
    batch_images: int  # most images that are worth a pass (count): 1 where a batch is no faster than its images

    def infer(self, batch: Batch) -> Inference:
        """Run float32 [N, 3, H, W], N of at least 1; each row's answer doesn't depend on its neighbours."""
