"""What convolutional networks share: the last map, its mean, and what each place of the map adds to each logit."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d


class Pooled(nn.Module, ABC):
    """A network whose last map is averaged over its places and read by a small head."""

    def __init__(self, features: int, projection: int, classifier: nn.Module, dropout: float = 0.0) -> None:
        super().__init__()
        self._dropout = dropout
        self.classifier = classifier
        self.projection = nn.Linear(features, projection)

    @abstractmethod
    def maps(self, images: Tensor) -> Tensor:
        """Return the last map [N, features, h, w] of [N, 3, H, W] images."""

    def features(self, images: Tensor) -> Tensor:
        """Pool the last map: [N, 3, H, W] to [N, features]."""
        return self.maps(images).mean((2, 3))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits [N, classes], the projection [N, projection], the evidence [N, classes, h, w].

        There is no evidence (an empty tensor) while training: dropout would make it another network's.
        """
        maps = self.maps(images)
        features = maps.mean((2, 3))
        kept = nn.functional.dropout(features, self._dropout, self.training)
        found = maps.new_empty(0) if self.training else evidence(self.classifier, features, maps)
        return self.classifier(kept), self.projection(features), found


def evidence(classifier: nn.Module, features: Tensor, maps: Tensor) -> Tensor:
    """Return what each place of the last map adds to each logit: [N, classes, h, w].

    Behind one linear layer this is the class activation map (Zhou et al. 2016, "Learning Deep Features for
    Discriminative Localization"): its mean over the places and the layer's bias are the logit, exactly. Behind a deeper
    head it is Grad-CAM's weighted sum (Selvaraju et al. 2017) before its ReLU, times the number of places: the slope of
    each logit by the pooled features, in closed form, so that one forward pass of any engine gives it.
    """
    if isinstance(classifier, nn.Linear):
        return conv2d(maps, classifier.weight[:, :, None, None])
    by_place = torch.bmm(slopes(classifier, features), maps.flatten(2))
    return by_place.view(maps.shape[0], -1, maps.shape[2], maps.shape[3])


def slopes(classifier: nn.Module, features: Tensor) -> Tensor:
    """Return d logit / d feature, [N, classes, features], of a chain of layers in evaluation mode.

    >>> head = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1)).eval()
    >>> _ = head[0].weight.data.copy_(torch.tensor([[1.0], [-1.0]])), head[2].weight.data.fill_(3.0)
    >>> _ = head[0].bias.data.zero_()
    >>> slopes(head, torch.tensor([[5.0], [-5.0]])).flatten().tolist()
    [3.0, -3.0]
    """
    *layers, last = classifier.children()
    inputs = [features]
    for layer in layers:
        inputs.append(layer(inputs[-1]))
    slope: Tensor = last.get_parameter("weight").expand(features.shape[0], -1, -1)
    for layer, entering in zip(reversed(layers), reversed(inputs[:-1]), strict=True):
        slope = SLOPES[type(layer)](layer, entering, slope)
    return slope


def _through_linear(layer: nn.Module, _entering: Tensor, slope: Tensor) -> Tensor:
    return torch.matmul(slope, layer.get_parameter("weight"))


def _through_relu(_layer: nn.Module, entering: Tensor, slope: Tensor) -> Tensor:
    return slope * (entering > 0).to(slope.dtype)[:, None]


def _through_hardswish(_layer: nn.Module, entering: Tensor, slope: Tensor) -> Tensor:
    """Go through x * clip(x + 3, 0, 6) / 6, whose slope is (2 x + 3) / 6 between -3 and 3."""
    inside = (entering > -3) & (entering < 3)  # noqa: PLR2004 - Howard et al. (2019), equation 5
    outside = (entering >= 3).to(slope.dtype)  # noqa: PLR2004 - as above
    return slope * torch.where(inside, (2 * entering + 3) / 6, outside)[:, None]


def _through_batch_norm(layer: Any, _entering: Tensor, slope: Tensor) -> Tensor:
    scale: Tensor = layer.weight * torch.rsqrt(layer.running_var + layer.eps)
    return slope * scale


def _through_dropout(_layer: nn.Module, _entering: Tensor, slope: Tensor) -> Tensor:
    return slope


#: The layers that a head may be made of.
SLOPES: Mapping[type[nn.Module], Callable[[nn.Module, Tensor, Tensor], Tensor]] = {
    nn.Linear: _through_linear,
    nn.ReLU: _through_relu,
    nn.Hardswish: _through_hardswish,
    nn.BatchNorm1d: _through_batch_norm,
    nn.Dropout: _through_dropout,
}
