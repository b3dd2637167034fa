"""Convolutional networks of torchvision: their trunk under torchvision's own names, with our outputs on top.

`training.pretrained` copies published weights by these names: `trunk.` and the name in torchvision, without `features.`
"""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn.functional import relu
from torchvision import models  # type: ignore[import-untyped] # ships no types

from consumers.imaging.architectures.pooled import Pooled

#: What comes after the last map in torchvision's networks that have no `features`.
TOP = frozenset({"avgpool", "dropout", "fc"})


class TorchvisionCnn(Pooled):
    """A trunk that is a chain of layers, and what `Pooled` adds."""

    def __init__(self, trunk: nn.Module, features: int, projection: int, classifier: nn.Module) -> None:
        super().__init__(features, projection, classifier)
        self.trunk = trunk

    def maps(self, images: Tensor) -> Tensor:
        """Return the last map [N, features, h, w]."""
        result: Tensor = self.trunk(images)
        return result


def chain(network: nn.Module) -> nn.Sequential:
    """Return the layers up to the last map, in order and under their names."""
    return nn.Sequential(OrderedDict((name, layer) for name, layer in network.named_children() if name not in TOP))


class EfficientNetB4(TorchvisionCnn):
    """EfficientNet-B4 (Tan and Le 2019) with the head of the pneumonia platform that RadStream takes over from."""

    def __init__(self, classes: int, projection: int) -> None:
        head = nn.Sequential(
            nn.Dropout(0.3),
            nn.Linear(1792, 512),
            nn.ReLU(),
            nn.BatchNorm1d(512),
            nn.Dropout(0.2),
            nn.Linear(512, classes),
        )
        super().__init__(models.efficientnet_b4().features, 1792, projection, head)


class ResNet50(TorchvisionCnn):
    """ResNet-50 (He et al. 2015)."""

    def __init__(self, classes: int, projection: int) -> None:
        super().__init__(chain(models.resnet50()), 2048, projection, nn.Linear(2048, classes))


class DenseNet121(TorchvisionCnn):
    """DenseNet-121 (Huang et al. 2016)."""

    def __init__(self, classes: int, projection: int) -> None:
        super().__init__(models.densenet121().features, 1024, projection, nn.Linear(1024, classes))

    def maps(self, images: Tensor) -> Tensor:
        """Return the last map [N, 1024, h, w], after the ReLU that torchvision applies behind `features`."""
        return relu(super().maps(images))


class InceptionV3(TorchvisionCnn):
    """Inception-v3 (Szegedy et al. 2015) without its auxiliary classifier; images have at least 75 pixels a side.

    The auxiliary classifier helped the first layers to learn before BatchNorm did; it plays no part in an answer.
    """

    def __init__(self, classes: int, projection: int) -> None:
        network = models.inception_v3(aux_logits=False, transform_input=False, init_weights=False)
        super().__init__(chain(network), 2048, projection, nn.Linear(2048, classes))


class MobileNetV3Large(TorchvisionCnn):
    """MobileNetV3-Large (Howard et al. 2019), with its own head of two layers."""

    def __init__(self, classes: int, projection: int) -> None:
        head = nn.Sequential(nn.Linear(960, 1280), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(1280, classes))
        super().__init__(models.mobilenet_v3_large().features, 960, projection, head)
