"""A small package, made by the real exporter from random weights: no training, no shared folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from consumers.imaging.inputs import InputSpec
from consumers.imaging.networks import build
from consumers.packages.package import ModelPackage, load_package
from training.datasets import Examples
from training.fitting import Fitted
from training.package import Data, Identity, package_of
from training.recipe import Recipe
from training.sources import UNKNOWN
from training.splits import Part
from training.writing import write_package

SIDE = 32


def examples(seed: int) -> Examples:
    """Make twenty noise films of both classes."""
    images = np.random.default_rng(seed).integers(0, 256, (20, SIDE, SIDE), np.uint8)
    return Examples(images, np.arange(20) % 2, patients=20)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a package of an untrained EfficientNet-Lite0 at 32 pixels."""
    torch.manual_seed(5)
    network = build("efficientnet_lite0", 2)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_var.uniform_(0.5, 2)
            layer.running_mean.normal_(0, 0.2)
    spec = InputSpec(SIDE, SIDE, (0.5,) * 3, (0.5,) * 3)
    identity = Identity(
        "tiny", "0.0.1", "efficientnet_lite0", ("NORMAL", "PNEUMONIA"), "run", "never", "random weights"
    )
    data = Data({part: examples(seed) for seed, part in enumerate(Part)}, UNKNOWN, {})
    files = package_of(Fitted(network, 1, 0.5, ({"epoch": 1.0},), 1.0), data, spec, Recipe(), identity)
    folder = tmp_path_factory.mktemp("models") / "tiny" / "0.0.1"
    write_package(files, folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """Give a copy that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / "tiny" / "0.0.1"))


@pytest.fixture
def package(made: Path) -> ModelPackage:
    """Give the package, verified."""
    return load_package(made)


@pytest.fixture
def manifest(folder: Path) -> dict[str, object]:
    """Give the copy's manifest as a document."""
    document: dict[str, object] = json.loads((folder / "manifest.json").read_bytes())
    return document
