"""A small plain network: the baseline that a better one must beat, and what tests train in seconds."""

from torch import Tensor, nn

from consumers.imaging.architectures.pooled import Pooled

WIDTHS = (16, 32, 64, 128)


class BaselineCnn(Pooled):
    """Four strided convolutions and a mean; takes [N, 3, H, W] images with H and W of at least 16."""

    def __init__(self, classes: int, projection: int) -> None:
        super().__init__(WIDTHS[-1], projection, nn.Linear(WIDTHS[-1], classes))
        layers: list[nn.Module] = []
        for inputs, outputs in zip((3, *WIDTHS), WIDTHS, strict=False):
            layers.append(nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def maps(self, images: Tensor) -> Tensor:
        """Return the last map [N, 128, H/16, W/16]."""
        result: Tensor = self.layers(images)
        return result
