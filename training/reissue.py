"""`python -m training reissue`: the same weights under another version, their reference.json made anew."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load

from consumers.imaging.calibration import probabilities_of
from consumers.imaging.networks import build
from schemas.model_package import CARD, MANIFEST, REFERENCE, WEIGHTS
from training.card import card_of
from training.datasets import read_parts
from training.doubts import Looked, limits_of
from training.fitting import infer
from training.made import read_package
from training.splits import Part
from training.writing import write_package


def reissue(package: Path, data: Path, out: Path, version: str) -> dict[str, Any]:
    """Write `out/NAME/version`: the package's files, with the limits that its own training data give it.

    Nothing of the network, its calibration, threshold or metrics changes. Raises WrongCall where the package is not
    whole, the version stands already or the data are not there.
    """
    made = read_package(package)
    manifest, files, spec = made.described, made.files, made.spec
    parts = read_parts(data, manifest["classes"], spec)
    network = build(manifest["architecture"], len(manifest["classes"]))
    tensors = load(files[WEIGHTS])
    network.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in tensors.items()})
    network = network.to(memory_format=torch.channels_last)
    train, validation = parts[Part.TRAIN].images, parts[Part.VALIDATION].images
    logits, projections = infer(network, validation, spec)
    positive = manifest["classes"].index(manifest["positive"])
    scores = probabilities_of(logits, manifest["calibration"]["temperature"])[:, positive]
    looked = Looked(train, infer(network, train, spec)[1]), Looked(validation, projections)
    found = limits_of(*looked, scores, manifest["threshold"]["value"])
    folder = out / manifest["name"] / version
    write_package(_files(manifest, files, version, found), folder)
    return {"model": manifest["name"], "version": version, "package": str(folder)}


def _files(
    manifest: Mapping[str, Any], files: Mapping[str, bytes], version: str, found: Mapping[str, Any]
) -> dict[str, bytes]:
    """Make every file, the manifest last."""
    described = {**manifest, "version": version}
    made = {REFERENCE: _json({**json.loads(files[REFERENCE]), **found}), CARD: card_of(described).encode()}
    hashes = {name: sha256(content).hexdigest() for name, content in sorted({**files, **made}.items())}
    return {**files, **made, MANIFEST: _json({**described, "files": hashes})}


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()
