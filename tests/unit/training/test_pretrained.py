"""Our EfficientNet-Lite0 is the published one, to the last bit."""

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

from consumers.imaging.inputs import InputSpec
from consumers.imaging.networks import build
from training.fitting import batch_of, recompute_statistics
from training.pretrained import load_imagenet


def test_the_pretrained_network_computes_what_the_published_code_computes() -> None:
    """Same weights, same padding, same features."""
    ours = build("efficientnet_lite0", 2).eval()
    load_imagenet(ours, "efficientnet_lite0")
    theirs = EfficientNet.from_name("efficientnet-lite0").eval()
    names = [name for name in theirs.state_dict() if not name.startswith("_fc.")]
    tensors = [t for name, t in ours.state_dict().items() if not name.startswith(("classifier.", "projection."))]
    theirs.load_state_dict(dict(zip(names, tensors, strict=True)), strict=False)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))

    with torch.inference_mode():
        difference = ours.features(images) - theirs.extract_features(images).mean((2, 3))

    assert float(difference.abs().max()) == 0


def test_recomputed_statistics_are_the_data_s_own() -> None:
    """The first layer's running mean is the mean of what it gets, and momentum is set back for the next epoch."""
    network = build("baseline_cnn", 2)
    images = np.random.default_rng(0).integers(0, 256, (64, 32, 32), np.uint8)
    spec = InputSpec(32, 32, (0.5,) * 3, (0.5,) * 3)
    first, norm = next(layer for layer in network.modules() if isinstance(layer, torch.nn.Sequential))[:2]

    recompute_statistics(network, images, spec)

    with torch.no_grad():
        expected = first(batch_of(images, spec)).mean((0, 2, 3))
    torch.testing.assert_close(norm.running_mean, expected, atol=1e-4, rtol=1e-3)
    assert norm.momentum == 0.1
