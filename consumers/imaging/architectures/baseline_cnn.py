"""A small plain network: the baseline that a better one must beat, and what tests train in seconds."""

from torch import Tensor, nn

WIDTHS = (16, 32, 64, 128)


class BaselineCnn(nn.Module):
    """Four strided convolutions and a mean; takes [N, 3, H, W] images with H and W of at least 16."""

    def __init__(self, classes: int, projection: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in zip((3, *WIDTHS), WIDTHS, strict=False):
            layers.append(nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Linear(WIDTHS[-1], classes)
        self.projection = nn.Linear(WIDTHS[-1], projection)

    def features(self, images: Tensor) -> Tensor:
        """Pool the last map: [N, 3, H, W] to [N, 128]."""
        maps: Tensor = self.layers(images)
        return maps.mean((2, 3))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [N, classes] and the projection [N, projection]."""
        features = self.features(images)
        return self.classifier(features), self.projection(features)
