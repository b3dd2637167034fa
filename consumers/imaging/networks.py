"""The architectures by name. Importing this module costs nothing; building a network imports torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from schemas.errors import ModelRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

#: How many numbers of the network's inner view a result carries (InferenceCompleted.projection allows 16).
PROJECTION = 16

#: The only classes that a package's manifest can name: an architecture is code, and code comes with the product.
ARCHITECTURES: Mapping[str, tuple[str, str]] = {
    "efficientnet_lite0": ("consumers.imaging.architectures.efficientnet_lite0", "EfficientNetLite0"),
    "baseline_cnn": ("consumers.imaging.architectures.baseline_cnn", "BaselineCnn"),
}


class Network(Protocol):
    """What training and the torch engine need of an `nn.Module` of ours."""

    classifier: nn.Linear
    projection: nn.Linear

    def features(self, images: Tensor) -> Tensor:
        """Return the pooled features of [N, 3, H, W] images."""

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [N, classes] and the projection [N, PROJECTION]."""

    def train(self, mode: bool = True) -> Network:  # noqa: FBT001, FBT002 - torch's own signature
        """Switch dropout and batch statistics on or off."""

    def eval(self) -> Network:
        """Switch dropout and batch statistics off."""

    def to(self, *where: Any, **how: Any) -> Network:
        """Move to a device or a memory format."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Iterate over the trainable tensors."""

    def modules(self) -> Iterator[nn.Module]:
        """Iterate over the layers."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return every tensor by name."""

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> object:
        """Set every tensor by name; missing and unexpected names raise."""


def build(architecture: str, classes: int) -> Network:
    """Make an untrained network; refuses a name that is not in the table."""
    if architecture not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ModelRefused(f"architecture {architecture!r} is not known to this release; known: {known}")
    module, name = ARCHITECTURES[architecture]
    return cast("Network", getattr(import_module(module), name)(classes, PROJECTION))
