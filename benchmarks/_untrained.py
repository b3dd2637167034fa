"""Packages of random weights, to measure speed with: an architecture's cost doesn't depend on what it learnt.

`python benchmarks/_untrained.py resnet50 --out build/models` writes build/models/untrained-resnet50/0.0.1.
"""

import argparse
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import torch

from consumers.imaging.inputs import InputSpec, normalise, self_test_image
from consumers.imaging.networks import ARCHITECTURES, build
from consumers.packages.package import load_package
from schemas.model_package import FILES, GRAPH, MANIFEST
from training.datasets import Examples
from training.fitting import Fitted, recompute_statistics
from training.package import Data, Identity, package_of
from training.quantise import Graph, quantised
from training.recipe import Recipe
from training.sources import Source
from training.splits import Part
from training.writing import document, write_package

CLASSES = ("NORMAL", "PNEUMONIA")
FILMS = 8
DRAWN = Source("soft spots, drawn by benchmarks/_untrained.py", "Apache-2.0", "nobody")


def untrained(architecture: str, out: Path, seed: int = 1) -> Path:
    """Write the package of an untrained network at its own input size, unless it is there; returns its folder.

    BatchNorm's statistics are those of drawn films, so that activations have the sizes that a trained network's have.
    """
    name = f"untrained-{architecture.replace('_', '-')}"
    folder = out / name / "0.0.1"
    if folder.exists():
        return folder
    torch.manual_seed(seed)
    described = ARCHITECTURES[architecture]
    spec = InputSpec(described.pixels, described.pixels, *described.scale)
    parts = {part: _drawn(spec, seed + number) for number, part in enumerate(Part)}
    network = build(architecture, len(CLASSES))
    recompute_statistics(network, parts[Part.TRAIN].images, spec)
    identity = Identity(name, "0.0.1", architecture, CLASSES, "none", "never", "random weights, for speed alone")
    fitted = Fitted(network, epoch=0, validation_auc=0.5, history=(), seconds=0.0)
    write_package(package_of(fitted, Data(parts, DRAWN, {}), spec, Recipe(), identity), folder)
    return folder


def untrained_int8(architecture: str, out: Path) -> Path:
    """Write the int8 form of an untrained package, unless it is there; no gate judges it, for it never learnt."""
    source = load_package(untrained(architecture, out))
    folder = out / f"{source.manifest.name}-int8" / "0.0.1"
    if folder.exists():
        return folder
    spec = source.manifest.input
    films = _drawn(spec, seed=1).images
    graph = Graph(quantised(source.read(GRAPH), [normalise(film, spec)[None] for film in films]), spec)
    logits = graph.logits(self_test_image(spec)[None])[0]
    manifest = {
        **source.manifest.described,
        "name": folder.parent.name,
        "precision": {"graph": "int8"},
        "self_test": {"logits": [round(float(logit), 6) for logit in logits]},
    }
    files = {name: source.read(name) for name in FILES} | {GRAPH: graph.content}
    manifest["files"] = {name: sha256(content).hexdigest() for name, content in sorted(files.items())}
    write_package({**files, MANIFEST: document(manifest)}, folder)
    return folder


def _drawn(spec: InputSpec, seed: int) -> Examples:
    """Draw films that differ much, and the self-test's image: what a deep random network has not seen, it blows up."""
    spots = np.random.default_rng(seed).integers(0, 256, (FILMS, 9, 9)).astype(np.float32)
    images = np.stack([cv2.resize(one, (spec.width, spec.height), interpolation=cv2.INTER_LINEAR) for one in spots])
    images[0] = self_test_image(spec)
    return Examples(images.astype(np.uint8), np.arange(FILMS) % len(CLASSES), patients=FILMS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("architecture", choices=sorted(ARCHITECTURES))
    parser.add_argument("--out", type=Path, default=Path("build/models"))
    parser.add_argument("--int8", action="store_true")
    asked = parser.parse_args()
    print((untrained_int8 if asked.int8 else untrained)(asked.architecture, asked.out))
