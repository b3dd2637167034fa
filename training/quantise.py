"""`python -m training quantise`: a float32 package in; an int8 package for CPU engines out, or the reasons why not.

nncf places the 8-bit steps (its fast bias correction included) and writes them into ONNX as QDQ pairs, which OpenVINO
and ONNX Runtime both read. OpenVINO is the engine that is fast with them, so it judges.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from consumers.imaging.calibration import probabilities_of
from consumers.imaging.inputs import InputSpec, normalise, self_test_image
from consumers.imaging.openvino_graph import compiled
from schemas.errors import WrongCall
from schemas.model_package import CARD, GRAPH, MANIFEST, REFERENCE, WEIGHTS
from training.card import card_of
from training.datasets import Examples, read_parts
from training.doubts import Looked, limits_of
from training.export import INPUT
from training.made import MadePackage, read_package
from training.operating import choose_threshold, fit_temperature
from training.package import measures_of
from training.quantised_gate import Compared, compare, refusals
from training.reference import reference_of
from training.splits import Part
from training.writing import document, refuse_existing, write_package

Batch = NDArray[np.float32]

log = logging.getLogger(__name__)

#: Layers that stay in float32: the head and what explains it cost nothing, and drift watches the projection.
KEPT = (r"^/(classifier|projection)/.*", r"^/[^/]+$")
#: Rounds of the speed comparison, one image of each graph in turn.
ROUNDS = 30


@dataclass(frozen=True, slots=True)
class QuantiseOrder:
    """What a person asks: the package, its data, where the new one goes, films to calibrate on."""

    package: Path
    data: Path
    out: Path
    version: str
    films: int
    seed: int


class Graph:
    """A graph in OpenVINO, as it is served: one thread, image by image."""

    def __init__(self, content: bytes, spec: InputSpec) -> None:
        self.content = content
        self._request = compiled(content, threads=1).create_infer_request()
        self._spec = spec

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the logits [N, classes] of grey images [N, H, W]."""
        return self.infer(images)[0]

    def infer(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return logits [N, classes] and projection [N, at most 16] of grey images [N, H, W]."""
        answers = [self._run(normalise(image, self._spec)[None]) for image in images]
        return np.concatenate([one[0] for one in answers]), np.concatenate([one[1] for one in answers])

    def _run(self, batch: Batch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        answer = self._request.infer([batch])
        return np.array(answer["logits"], np.float32), np.array(answer["projection"], np.float32)


def quantise(order: QuantiseOrder, now: datetime) -> dict[str, Any]:
    """Make the int8 package, or say why it is refused; returns what the command prints.

    1. verify the package, read its data by the split of every data set
    2. quantise, calibrated on films of the training part
    3. temperature and threshold, anew, on validation
    4. the gate: both packages on test, each at its own threshold
    5. only if it passes: write the package
    """
    source = read_package(order.package)
    described, spec = source.described, source.spec
    folder = order.out / described["name"] / order.version
    refuse_existing(folder)
    if "precision" in described:
        raise WrongCall(f"{order.package} is in int8 already: quantise the float32 package that it was made from")
    parts = read_parts(order.data, described["classes"], spec)
    whole = Graph(source.files[GRAPH], spec)
    images = _chosen(parts[Part.TRAIN], order)
    small = Graph(quantised(whole.content, [normalise(image, spec)[None] for image in images]), spec)
    validation = parts[Part.VALIDATION]
    logits, projections = small.infer(validation.images)
    temperature = round(fit_temperature(logits, validation.labels), 4)
    scores = probabilities_of(logits, temperature)[:, 1]
    threshold = choose_threshold(scores, validation.labels, float(described["threshold"]["recall_wanted"]))
    test = parts[Part.TEST]
    test_logits = small.logits(test.images)
    compared = compare(
        probabilities_of(whole.logits(test.images), described["calibration"]["temperature"])[:, 1],
        described["threshold"]["value"],
        probabilities_of(test_logits, temperature)[:, 1],
        threshold.value,
        test.labels,
    )
    reasons = refusals(compared)
    report = {
        "model": described["name"],
        "version": order.version,
        "package": None if reasons else str(folder),
        "verdict": "refused" if reasons else "accepted",
        "reasons": reasons,
        "compared_on_test": asdict(compared),
        "milliseconds": _speeds(whole, small, images),
    }
    log.info("gate: %s", json.dumps(report))
    if reasons:
        return report
    manifest = {
        **described,
        "version": order.version,
        "precision": _precision(source, order, compared, now),
        "threshold": {**described["threshold"], **asdict(threshold)},
        "calibration": {"method": "temperature", "temperature": temperature, "fixed_on": "validation"},
        "metrics": {
            "validation": measures_of(logits, validation.labels, temperature, threshold.value),
            "test": measures_of(test_logits, test.labels, temperature, threshold.value),
            "external": {},
        },
        "self_test": {"logits": [round(float(x), 6) for x in small.logits(self_test_image(spec)[None])[0]]},
    }
    reference = json.loads(source.files[REFERENCE])
    train = parts[Part.TRAIN].images
    looked = Looked(train, small.infer(train)[1]), Looked(validation.images, projections)
    reference = {
        **reference_of(validation.images, scores, reference["data"]),
        **limits_of(*looked, scores, threshold.value),
    }
    write_package(_files(manifest, reference, source.files[WEIGHTS], small.content), folder)
    return report


def quantised(graph: bytes, batches: Sequence[Batch]) -> bytes:
    """Return the graph in int8 (QDQ), calibrated on batches of one image [1, 3, H, W]."""
    # Else nncf reports to its makers that it was used, and how: nothing may leave a hospital unasked.
    os.environ["NNCF_CI"] = "1"
    with redirect_stdout(sys.stderr):  # its progress is no result
        import nncf  # type: ignore[import-not-found, import-untyped, unused-ignore] # noqa: PLC0415 - after the switch

        result = nncf.quantize(
            onnx.load_from_string(graph),
            nncf.Dataset(list(batches), lambda batch: {INPUT: batch}),
            subset_size=len(batches),
            ignored_scope=nncf.IgnoredScope(patterns=list(KEPT), validate=False),
        )
    return bytes(result.SerializeToString())


def _chosen(train: Examples, order: QuantiseOrder) -> NDArray[np.uint8]:
    if len(train) < order.films:
        raise WrongCall(f"{order.data} has {len(train)} films to calibrate on, fewer than --films {order.films}")
    chosen = np.random.default_rng(order.seed).permutation(len(train))[: order.films]
    images: NDArray[np.uint8] = train.images[chosen]
    return images


def _speeds(whole: Graph, small: Graph, images: NDArray[np.uint8]) -> dict[str, float]:
    """Return the median time of an image (milliseconds), the two graphs in turn."""
    times: dict[str, list[float]] = {"float32": [], "int8": []}
    for image in np.resize(images, (ROUNDS, *images.shape[1:])):
        for name, graph in (("float32", whole), ("int8", small)):
            start = time.perf_counter()
            graph.logits(image[None])
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: round(median(found), 2) for name, found in times.items()}


def _precision(source: MadePackage, order: QuantiseOrder, compared: Compared, now: datetime) -> dict[str, Any]:
    from importlib.metadata import version  # noqa: PLC0415

    return {
        "graph": "int8",
        "made_by": f"nncf {version('nncf')}",
        "made_at": now.isoformat(timespec="seconds"),
        "calibrated_on": f"{order.films} films of the training part, seed {order.seed}",
        "from": {"version": source.described["version"], "graph_sha256": source.described["files"][GRAPH]},
        "gate": asdict(compared),
    }


def _files(manifest: dict[str, Any], reference: Mapping[str, Any], weights: bytes, graph: bytes) -> dict[str, bytes]:
    files = {WEIGHTS: weights, GRAPH: graph, REFERENCE: document(reference), CARD: card_of(manifest).encode()}
    manifest["files"] = {name: sha256(content).hexdigest() for name, content in sorted(files.items())}
    return {**files, MANIFEST: document(manifest)}
