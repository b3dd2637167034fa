"""Packages in; a package that answers with the mean of their probabilities out (ADR 35).

Temperature and threshold are fixed on the validation part of the data that are given, and measured on test; without
data they are those that a person gives, and the package has no measures of its own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consumers.engines.choice import open_engine
from consumers.engines.ensemble_engine import EnsembleEngine
from consumers.imaging.calibration import probabilities_of
from consumers.imaging.inputs import InputSpec, normalise, self_test_image
from consumers.packages.ensembles import ENSEMBLE, FEWEST, MOST, Member, ensemble_version
from consumers.packages.manifest import Manifest
from consumers.packages.package import ModelPackage, fitting, load_package
from schemas.errors import WrongCall
from schemas.model_package import CARD, MANIFEST, REFERENCE
from training.ensemble_card import ensemble_card_of
from training.writing import document, write_package


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleOrder:
    """What a person asks: members, the first of which counts most; data, or else the operating point."""

    members: Sequence[ModelPackage]
    out: Path  # folder of packages
    data: Path | None = None
    threshold: float | None = None
    temperature: float = 1.0
    recall_wanted: float = 0.985


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """An operating point, and what is known of it: parts of manifest.json and reference.json."""

    temperature: float
    threshold: Mapping[str, Any]
    metrics: Mapping[str, Any]
    reference: Mapping[str, Any]


def make_ensemble(order: EnsembleOrder) -> ModelPackage:
    """Write `out/NAME/VERSION`, and verify it as every reader will.

    1. open and test the members
    2. temperature and threshold: on validation, or as given
    3. the version that follows from members, temperature and threshold; nothing is written if they don't fit together

    Raises WrongCall for an order that can't be carried out, ModelRefused for members that don't fit together.
    """
    if not FEWEST <= len(order.members) <= MOST:
        raise WrongCall(f"an ensemble has {FEWEST} to {MOST} members: give --member for each")
    if (order.data is None) == (order.threshold is None):
        raise WrongCall("give --data, or else --threshold: one of the two")
    first = order.members[0]
    engine = EnsembleEngine(
        [open_engine(one, None) for one in order.members],
        [one.manifest.operating.temperature for one in order.members],
    )
    fixed = _given(order, first) if order.data is None else _measured(order, order.data, first, engine)
    files = _files(_described(order, fixed, engine), fixed.reference)
    made = Manifest.from_json(files[MANIFEST])
    for named, member in zip(made.members, order.members, strict=True):
        fitting(made, named, member)
    folder = order.out / made.name / made.version
    write_package(files, folder)
    by_version = {one.manifest.version: one for one in order.members}
    return load_package(folder, lambda member: by_version[member.version])


def _described(order: EnsembleOrder, fixed: Fixed, engine: EnsembleEngine) -> dict[str, Any]:
    manifest = order.members[0].manifest
    members = [Member(one.manifest.version, one.digest) for one in order.members]
    test = _logits(engine, self_test_image(manifest.input)[None], manifest.input)
    return {
        "name": manifest.name,
        "version": ensemble_version(members, fixed.temperature, fixed.threshold["value"]),
        "architecture": ENSEMBLE,
        "members": [{"version": one.version, "manifest": one.digest} for one in members],
        "input": manifest.described["input"],
        "classes": list(manifest.operating.classes),
        "positive": manifest.operating.positive,
        "threshold": fixed.threshold,
        "calibration": {
            "method": "temperature",
            "temperature": fixed.temperature,
            "fixed_on": fixed.threshold["chosen_on"],
        },
        "metrics": fixed.metrics,
        "data": manifest.described.get("data", {}),
        "split": manifest.described.get("split", {}),
        "self_test": {"logits": [round(float(logit), 6) for logit in test[0]]},
    }


def _given(order: EnsembleOrder, first: ModelPackage) -> Fixed:
    """Take a person's operating point. The members' scores say nothing of their mean's, so that histogram is left out.

    What films look like, and which are strange, is the first member's, whose projection the ensemble shows.
    """
    reference = json.loads(first.read(REFERENCE))
    features = {name: one for name, one in reference["features"].items() if name != "score"}
    kept = {name: one for name, one in reference.items() if name != "near_threshold"}
    return Fixed(
        temperature=order.temperature,
        threshold={
            "value": order.threshold,
            "chosen_on": "given",
            "rule": "chosen by whoever made the ensemble",
        },
        metrics={},
        reference={**kept, "features": features},
    )


def _measured(order: EnsembleOrder, data: Path, first: ModelPackage, engine: EnsembleEngine) -> Fixed:
    from training.datasets import read_parts  # noqa: PLC0415 - the extra `training`, which films alone need
    from training.doubts import near_threshold  # noqa: PLC0415 - as above
    from training.operating import RULE, choose_threshold, fit_temperature  # noqa: PLC0415 - as above
    from training.package import measures_of  # noqa: PLC0415 - as above
    from training.reference import reference_of  # noqa: PLC0415 - as above
    from training.splits import Part  # noqa: PLC0415 - as above

    manifest = first.manifest
    parts = read_parts(data, manifest.operating.classes, manifest.input)
    validation = parts[Part.VALIDATION]
    logits = {part: _logits(engine, parts[part].images, manifest.input) for part in (Part.VALIDATION, Part.TEST)}
    temperature = round(fit_temperature(logits[Part.VALIDATION], validation.labels), 4)
    positive = manifest.operating.classes.index(manifest.operating.positive)
    scores = probabilities_of(logits[Part.VALIDATION], temperature)[:, positive]
    threshold = choose_threshold(scores, validation.labels, order.recall_wanted)
    theirs = json.loads(first.read(REFERENCE))
    return Fixed(
        temperature=temperature,
        threshold={
            **asdict(threshold),
            "chosen_on": "validation",
            "rule": RULE,
            "recall_wanted": order.recall_wanted,
        },
        metrics={
            str(part): measures_of(found, parts[part].labels, temperature, threshold.value)
            for part, found in logits.items()
        },
        reference={
            **theirs,
            **reference_of(validation.images, scores, theirs["data"]),
            "near_threshold": near_threshold(scores, threshold.value),
        },
    )


def _logits(engine: EnsembleEngine, images: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.float32]:
    """Return the ensemble's logits [N, classes] of grey images [N, H, W]."""
    return np.concatenate([engine.infer(normalise(image, spec)[None]).logits for image in images])


def _files(manifest: dict[str, Any], reference: Mapping[str, Any]) -> dict[str, bytes]:
    files = {REFERENCE: document(reference), CARD: ensemble_card_of(manifest).encode()}
    manifest["files"] = {name: sha256(content).hexdigest() for name, content in sorted(files.items())}
    return {**files, MANIFEST: document(manifest)}
