"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation and with ReLU6, which suits CPUs and quantisation.

Tan and Le (2019), "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", and the Lite variant of
the TensorFlow authors. The order of parameters is that of the published weights; `training.pretrained` relies on it.
"""

from typing import NamedTuple

from torch import Tensor, nn

from consumers.imaging.architectures.pooled import Pooled

#: TensorFlow's epsilon; the published weights were trained with it.
BATCH_NORM_EPSILON = 1e-3
FEATURES = 1280


class Stage(NamedTuple):
    """A run of equal blocks; the stride is the first one's."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    outputs: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, *, depthwise: bool = False) -> nn.Sequential:
    """Convolve with TensorFlow's SAME padding and normalise; at stride 2 the odd pixel is added below and right."""
    slack = kernel - stride
    before, after = slack // 2, slack - slack // 2
    layers: list[nn.Module] = [] if before == after else [nn.ZeroPad2d((before, after, before, after))]
    padding = before if before == after else 0
    groups = inputs if depthwise else 1
    layers.append(nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False))
    layers.append(nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPSILON))
    return nn.Sequential(*layers)


class InvertedBottleneck(nn.Module):
    """Expand, convolve each channel, project; with a skip where the shape allows it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        layers: list[nn.Module] = [convolution(inputs, wide, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []
        layers += [convolution(wide, wide, kernel, stride, depthwise=True), nn.ReLU6(inplace=True)]
        self.layers = nn.Sequential(*layers, convolution(wide, outputs, 1))
        self.skips = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """Map [N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        result: Tensor = self.layers(images)
        return result + images if self.skips else result


class EfficientNetLite0(Pooled):
    """Logits and a linear projection of the pooled features, for [N, 3, H, W] images with H and W divisible by 32."""

    def __init__(self, classes: int, projection: int) -> None:
        super().__init__(FEATURES, projection, nn.Linear(FEATURES, classes), dropout=0.2)
        inputs = 32
        self.stem = nn.Sequential(convolution(3, inputs, 3, 2), nn.ReLU6(inplace=True))
        blocks: list[nn.Module] = []
        for stage in STAGES:
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(InvertedBottleneck(inputs, stage.outputs, stage.kernel, stride, stage.expansion))
                inputs = stage.outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(convolution(inputs, FEATURES, 1), nn.ReLU6(inplace=True))

    def maps(self, images: Tensor) -> Tensor:
        """Return the last map [N, 1280, H/32, W/32]."""
        result: Tensor = self.head(self.blocks(self.stem(images)))
        return result
