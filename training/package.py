"""Measure a fitted network and write it as a model package."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from consumers.imaging.calibration import probabilities_of
from consumers.imaging.inputs import InputSpec, normalise, self_test_image
from consumers.imaging.networks import Network
from schemas.model_package import CARD, GRAPH, MANIFEST, REFERENCE, WEIGHTS
from training.card import card_of
from training.datasets import Examples
from training.doubts import Looked, limits_of
from training.export import graph_of, round_weights, run_graph, weights_of
from training.fitting import Fitted, infer
from training.measures import Labels, measure
from training.operating import RULE, choose_threshold, fit_temperature
from training.projection import set_projection
from training.recipe import Recipe
from training.reference import reference_of
from training.sources import Source
from training.splits import Part
from training.writing import document

SPLIT = {
    "by": "patient",
    "rule": "int(sha256(patient)[:8], 16) % 100: below 70 train, below 85 validation, else test",
}
#: Films of the training part that the projection's components are computed from.
PROJECTION_FILMS = 768


@dataclass(frozen=True, slots=True)
class Identity:
    """What the package is called and where it comes from. Classes: the negative one first."""

    name: str
    version: str
    architecture: str
    classes: tuple[str, ...]
    run_id: str
    finished_at: str
    initial_weights: str


@dataclass(frozen=True, slots=True)
class Data:
    """The parts that a network is fitted to and measured on, and other sites that it is only measured on."""

    parts: Mapping[Part, Examples]
    source: Source
    external: Mapping[str, tuple[Examples, Source]]


def package_of(fitted: Fitted, data: Data, spec: InputSpec, recipe: Recipe, identity: Identity) -> dict[str, bytes]:
    """Return the package's files by name.

    1. the projection, from training films; then all weights are rounded as they are shipped
    2. temperature and threshold, from validation
    3. measures, from test and other sites, nothing chosen by them
    4. files, their hashes, the manifest
    """
    network = fitted.network
    set_projection(network, data.parts[Part.TRAIN].images[:PROJECTION_FILMS], spec)
    round_weights(network)
    validation = data.parts[Part.VALIDATION]
    logits, projections = infer(network, validation.images, spec)
    temperature = round(fit_temperature(logits, validation.labels), 4)
    scores = probabilities_of(logits, temperature)[:, 1]
    threshold = choose_threshold(scores, validation.labels, recipe.recall_wanted)

    def measured(examples: Examples) -> dict[str, Any]:
        return measures_of(infer(network, examples.images, spec)[0], examples.labels, temperature, threshold.value)

    external = {
        name: {"population": source.population, "citation": source.citation, "metrics": measured(examples)}
        for name, (examples, source) in data.external.items()
    }
    manifest: dict[str, Any] = {
        "name": identity.name,
        "version": identity.version,
        "architecture": identity.architecture,
        "input": asdict(spec),
        "classes": list(identity.classes),
        "positive": identity.classes[1],
        "threshold": {
            **asdict(threshold),
            "chosen_on": "validation",
            "rule": RULE,
            "recall_wanted": recipe.recall_wanted,
        },
        "calibration": {"method": "temperature", "temperature": temperature, "fixed_on": "validation"},
        "metrics": {
            "validation": measured(validation),
            "test": measured(data.parts[Part.TEST]),
            "external": external,
        },
        "data": _described(data, identity.classes),
        "split": SPLIT,
        "training": {
            "run_id": identity.run_id,
            "finished_at": identity.finished_at,
            "initial_weights": identity.initial_weights,
            "best_epoch": fitted.epoch,
            "validation_auc": fitted.validation_auc,
            "history": list(fitted.history),
            "seconds": round(fitted.seconds, 1),
            "threads": recipe.threads,
            "torch": torch.__version__,
            "recipe": asdict(recipe),
        },
    }
    train = data.parts[Part.TRAIN].images
    reference = {
        **reference_of(validation.images, scores, f"validation part of {data.source.citation}"),
        **limits_of(
            Looked(train, infer(network, train, spec)[1]),
            Looked(validation.images, projections),
            scores,
            threshold.value,
        ),
    }
    return _files(network, manifest, reference, spec)


def measures_of(logits: NDArray[np.float32], labels: Labels, temperature: float, threshold: float) -> dict[str, Any]:
    """Return the measures of two-class logits as the manifest holds them."""
    found = probabilities_of(logits, temperature)[:, 1]
    return {
        name: asdict(value) if not isinstance(value, float) else value
        for name, value in measure(found, labels, threshold).items()
    }


def _files(network: Network, manifest: dict[str, Any], reference: dict[str, Any], spec: InputSpec) -> dict[str, bytes]:
    """Make every file, the manifest last."""
    test = normalise(self_test_image(spec), spec)[None]
    expected = infer(network, self_test_image(spec)[None], spec)[0]
    graph = graph_of(network, spec)
    manifest["self_test"] = {
        "logits": [round(float(logit), 6) for logit in expected[0]],
        "onnx_difference": float(np.abs(run_graph(graph, test) - expected).max()),
    }
    files = {
        WEIGHTS: weights_of(network),
        GRAPH: graph,
        REFERENCE: document(reference),
        CARD: card_of(manifest).encode(),
    }
    manifest["files"] = {name: sha256(content).hexdigest() for name, content in sorted(files.items())}
    return {**files, MANIFEST: document(manifest)}


def _described(data: Data, classes: tuple[str, ...]) -> dict[str, Any]:
    parts = {
        str(part): {
            "patients": one.patients,
            "films": {name: int((one.labels == index).sum()) for index, name in enumerate(classes)},
        }
        for part, one in data.parts.items()
    }
    films, patients = (sum(map(count, data.parts.values())) for count in (len, lambda one: one.patients))
    return {**asdict(data.source), "films": films, "patients": patients, "parts": parts}
