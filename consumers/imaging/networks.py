"""The architectures by name. Importing this module costs nothing; building a network imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from schemas.errors import ModelRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

#: How many numbers of the network's inner view a result carries (InferenceCompleted.projection allows 16).
PROJECTION = 16
ROOM = "consumers.imaging.architectures"
#: Mean and deviation of ImageNet's channels, in units of full scale: what most published weights were trained with.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
#: Grey level 127.5 to 0, full scale to 1.
HALF = ((0.5,) * 3, (0.5,) * 3)
#: TensorFlow's (x - 127) / 128, which the published weights of EfficientNet-Lite0 were trained with.
LITE = ((127 / 255,) * 3, (128 / 255,) * 3)

Scale = tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class Architecture:
    """Where a network's class is, and the input that it was designed for: side (pixels), mean and deviation."""

    module: str
    class_name: str
    pixels: int = 224
    scale: Scale = IMAGENET


#: The only classes that a package's manifest can name: an architecture is code, and code comes with the product.
ARCHITECTURES: Mapping[str, Architecture] = {
    "baseline_cnn": Architecture("baseline_cnn", "BaselineCnn", scale=HALF),
    "densenet121": Architecture("torchvision_cnns", "DenseNet121"),
    "efficientnet_b4": Architecture("torchvision_cnns", "EfficientNetB4", pixels=380),
    "efficientnet_lite0": Architecture("efficientnet_lite0", "EfficientNetLite0", scale=LITE),
    "inception_v3": Architecture("torchvision_cnns", "InceptionV3", pixels=299, scale=HALF),
    "mobilenet_v3_large": Architecture("torchvision_cnns", "MobileNetV3Large"),
    "resnet50": Architecture("torchvision_cnns", "ResNet50"),
    "vit_b_16": Architecture("vit_b_16", "VitB16"),
}


class Network(Protocol):
    """What training and the torch engine need of an `nn.Module` of ours."""

    classifier: nn.Module
    projection: nn.Linear

    def features(self, images: Tensor) -> Tensor:
        """Return the pooled features of [N, 3, H, W] images."""

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits [N, classes], the projection [N, PROJECTION] and the evidence.

        Evidence: [N, classes, h, w], what each place of the last map adds to each logit, or [N, 1, h, w] where the
        architecture knows no such thing and shows where it looked (attention). Not to be used while training.
        """

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


def known(architecture: str) -> Architecture:
    """Return what the table says of an architecture; refuses a name that is not in it."""
    if architecture not in ARCHITECTURES:
        names = ", ".join(sorted(ARCHITECTURES))
        raise ModelRefused(f"architecture {architecture!r} is not known to this release; known: {names}")
    return ARCHITECTURES[architecture]


def build(architecture: str, classes: int) -> Network:
    """Make an untrained network; refuses a name that is not in the table."""
    found = known(architecture)
    made = getattr(import_module(f"{ROOM}.{found.module}"), found.class_name)
    return cast("Network", made(classes, PROJECTION))
