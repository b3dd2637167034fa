"""`python -m training reissue`: the same weights under another version, their reference.json made anew."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load

from consumers.imaging.calibration import probabilities_of
from consumers.imaging.inputs import InputSpec
from consumers.imaging.networks import build
from schemas.errors import WrongCall
from schemas.model_package import CARD, FILES, MANIFEST, REFERENCE, WEIGHTS
from training.card import card_of
from training.datasets import read_parts
from training.doubts import Looked, limits_of
from training.fitting import infer
from training.package import write_package
from training.splits import Part


def reissue(package: Path, data: Path, out: Path, version: str) -> dict[str, Any]:
    """Write `out/NAME/version`: the package's files, with the limits that its own training data give it.

    Nothing of the network, its calibration, threshold or metrics changes. Raises WrongCall where the package is not
    whole, the version stands already or the data are not there.
    """
    manifest, files = _read(package)
    given = manifest["input"]
    spec = InputSpec(given["height"], given["width"], tuple(given["mean"]), tuple(given["std"]))
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


def _read(package: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read a package whose hashes match."""
    try:
        manifest = json.loads((package / MANIFEST).read_bytes())
        files = {name: (package / name).read_bytes() for name in FILES}
    except (OSError, ValueError) as error:
        raise WrongCall(f"{package} is no model package ({error})") from error
    wrong = [name for name, content in files.items() if sha256(content).hexdigest() != manifest["files"].get(name)]
    if wrong:
        raise WrongCall(f"{package}: {', '.join(wrong)} is not what the manifest says; nothing is issued from it")
    return manifest, files


def _files(manifest: dict[str, Any], files: dict[str, bytes], version: str, found: dict[str, Any]) -> dict[str, bytes]:
    """Make every file, the manifest last."""
    described = {**manifest, "version": version}
    made = {REFERENCE: _json({**json.loads(files[REFERENCE]), **found}), CARD: card_of(described).encode()}
    hashes = {name: sha256(content).hexdigest() for name, content in sorted((files | made).items())}
    return {**files, **made, MANIFEST: _json({**described, "files": hashes})}


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()
