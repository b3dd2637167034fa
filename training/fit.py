"""`python -m training fit`: a data folder in, a package out. No events, no servers."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import torch

from consumers.imaging.inputs import InputSpec
from consumers.imaging.networks import build, known
from schemas.model_package import MANIFEST
from training.datasets import Examples, read_examples, read_films, read_parts
from training.fitting import Fit
from training.package import Data, Identity, package_of
from training.pretrained import load_imagenet
from training.recipe import Recipe
from training.sources import Source, source_of
from training.splits import Part
from training.writing import refuse_existing, write_package

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """What a person asks of a fit. Classes: the negative one first."""

    data: Path
    out: Path
    name: str
    version: str
    architecture: str
    classes: tuple[str, ...]
    external: tuple[Path, ...]
    pixels: int | None  # None: the architecture's own
    from_imagenet: bool
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Clocks:
    """The times of a fit: monotonic seconds, the date, and the run's id."""

    seconds: Callable[[], float]
    now: Callable[[], datetime]
    run_id: UUID


def fit(order: Order, clocks: Clocks) -> dict[str, Any]:
    """Train, measure and write `out/name/version`; returns what the command prints."""
    folder = order.out / order.name / order.version
    refuse_existing(folder)
    torch.manual_seed(order.recipe.seed)
    torch.set_num_threads(order.recipe.threads)
    architecture = known(order.architecture)
    pixels = order.pixels or architecture.pixels
    spec = InputSpec(pixels, pixels, *architecture.scale)
    parts = read_parts(order.data, order.classes, spec)
    external = {folder.name: _external(folder, order.classes, spec) for folder in order.external}
    log.info("read %s", ", ".join(f"{len(part)} {name}" for name, part in parts.items()))
    network = build(order.architecture, len(order.classes))
    initial = "random weights"
    if order.from_imagenet:
        initial = load_imagenet(network, order.architecture)
    network = network.to(memory_format=torch.channels_last)
    train, validation = parts[Part.TRAIN], parts[Part.VALIDATION]
    fitted = Fit(network, train, spec, order.recipe, clocks.seconds).run(validation)
    run_id, finished_at = str(clocks.run_id), clocks.now().isoformat(timespec="seconds")
    identity = Identity(
        order.name, order.version, order.architecture, tuple(order.classes), run_id, finished_at, initial
    )
    files = package_of(fitted, Data(parts, source_of(order.data.name), external), spec, order.recipe, identity)
    write_package(files, folder)
    log.info("wrote %s: %.1f MB", folder, sum(map(len, files.values())) / 1e6)
    return report_of(folder, order, files[MANIFEST], run_id)


def report_of(folder: Path, order: Order, manifest: bytes, run_id: str) -> dict[str, Any]:
    """Return `{run_id, model, version, metrics, verdict, reasons}`, the metrics from test."""
    return {
        "run_id": run_id,
        "model": order.name,
        "version": order.version,
        "package": str(folder),
        "metrics": json.loads(manifest)["metrics"]["test"],
        "verdict": None,
        "reasons": ["no gate compares it with a champion yet: a person decides"],
    }


def _external(folder: Path, classes: Sequence[str], spec: InputSpec) -> tuple[Examples, Source]:
    """Read all films of another site, whatever their part: nothing is trained on them."""
    return read_examples(folder, read_films(folder, classes), classes, spec), source_of(folder.name)
