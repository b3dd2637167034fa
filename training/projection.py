"""The projection: sixteen numbers of the network's inner view, for drift to watch where grey levels say nothing."""

import numpy as np
import torch

from consumers.imaging.inputs import InputSpec
from consumers.imaging.networks import PROJECTION, Network
from training.fitting import EVALUATION_BATCH, batch_of


def set_projection(
    network: Network, images: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]], spec: InputSpec
) -> None:
    """Write the principal components of the pooled features into the network's projection layer.

    Each number has mean 0 and deviation 1 over `images` (uint8 [N, H, W]), so that any shift is in units of its own
    spread. Signs are fixed (largest weight positive), so that the same network gives the same numbers.
    """
    network.eval()
    starts = range(0, len(images), EVALUATION_BATCH)
    with torch.inference_mode():
        features = torch.cat(
            [network.features(batch_of(images[s : s + EVALUATION_BATCH], spec)) for s in starts]
        ).double()
    mean = features.mean(0)
    _, spread, components = torch.linalg.svd(features - mean, full_matrices=False)
    kept = min(PROJECTION, int((spread > spread[0] * 1e-6).sum()))
    weights = components[:kept] / (spread[:kept, None] / (len(features) - 1) ** 0.5)
    weights *= weights.gather(1, weights.abs().argmax(1, keepdim=True)).sign()
    layer = network.projection
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
        layer.weight[:kept] = weights.float()
        layer.bias[:kept] = -(weights @ mean).float()
