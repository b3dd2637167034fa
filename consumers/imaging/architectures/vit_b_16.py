"""ViT-B/16 (Dosovitskiy et al. 2020): torchvision's, with the class token's attention as what it explains itself by."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision import models  # type: ignore[import-untyped] # ships no types

WIDTH = 768
HEADS = 12
#: Side of the grid of patches that the position embeddings were made for: 224 pixels in patches of 16.
GRID = 14


class VitB16(nn.Module):
    """Takes [N, 3, H, W] with H and W divisible by 16; other sizes than 224 interpolate the position embeddings."""

    def __init__(self, classes: int, projection: int) -> None:
        super().__init__()
        self.trunk = models.vit_b_16()
        self.trunk.heads = nn.Identity()
        self.classifier = nn.Linear(WIDTH, classes)
        self.projection = nn.Linear(WIDTH, projection)

    def features(self, images: Tensor) -> Tensor:
        """Return the class token behind the last layer: [N, 3, H, W] to [N, 768]."""
        return self._read(self._before_last(images)[0])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits [N, classes], the projection [N, projection], the attention [N, 1, H/16, W/16]."""
        tokens, height, width = self._before_last(images)
        features = self._read(tokens)
        attention = self._attention(tokens).view(-1, 1, height, width)
        return self.classifier(features), self.projection(features), attention

    def _before_last(self, images: Tensor) -> tuple[Tensor, int, int]:
        """Return the tokens [N, 1 + h w, 768] that enter the last layer, class token first, and h and w."""
        patches = self.trunk.conv_proj(images)
        height, width = patches.shape[2], patches.shape[3]
        tokens = torch.cat(
            [self.trunk.class_token.expand(images.shape[0], -1, -1), patches.flatten(2).transpose(1, 2)], 1
        )
        tokens = tokens + self._positions(height, width)
        for layer in self.trunk.encoder.layers[:-1]:
            tokens = layer(tokens)
        return tokens, height, width

    def _positions(self, height: int, width: int) -> Tensor:
        positions: Tensor = self.trunk.encoder.pos_embedding
        if (height, width) == (GRID, GRID):
            return positions
        grid = positions[:, 1:].transpose(1, 2).reshape(1, WIDTH, GRID, GRID)
        grid = interpolate(grid, (height, width), mode="bicubic", align_corners=True)
        return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], 1)

    def _read(self, tokens: Tensor) -> Tensor:
        result: Tensor = self.trunk.encoder.ln(self.trunk.encoder.layers[-1](tokens))[:, 0]
        return result

    def _attention(self, tokens: Tensor) -> Tensor:
        """Return how the last layer's class token attends to each patch [N, h w], mean of the heads.

        Caron et al. (2021), "Emerging Properties in Self-Supervised Vision Transformers". It says where the network
        looked, not for which class.
        """
        layer = self.trunk.encoder.layers[-1]
        entering = layer.ln_1(tokens)
        weights, biases = layer.self_attention.in_proj_weight, layer.self_attention.in_proj_bias
        query = nn.functional.linear(entering[:, :1], weights[:WIDTH], biases[:WIDTH])
        key = nn.functional.linear(entering, weights[WIDTH : 2 * WIDTH], biases[WIDTH : 2 * WIDTH])
        query, key = (part.view(tokens.shape[0], -1, HEADS, WIDTH // HEADS).transpose(1, 2) for part in (query, key))
        shares = torch.matmul(query, key.transpose(2, 3)) * (WIDTH // HEADS) ** -0.5
        attention: Tensor = shares.softmax(-1)[:, :, 0, 1:].mean(1)
        return attention
