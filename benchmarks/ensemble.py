"""What an ensemble gains and costs: AUC and calibration on films that chose nothing, and images a second.

`python benchmarks/ensemble.py [PACKAGE PACKAGE] [--data FOLDER] [--external FOLDER] [--rounds N]` makes an ensemble of
packages of one model (ADR 35) and writes benchmarks/results/ensemble.json. Without packages: of the shipped one and the
same under another version, of which only the cost means something. Quality: the test part of `--data`, and all
films of `--external`, by each member, at its own temperature, and by the ensemble. Intervals: DeLong's for an AUC; for
the difference to the first member's a bootstrap over patients (percentiles of 2,000 draws with a seed), since several
films of one patient are not independent. Cost: the first member and the ensemble in turns through the whole path, as in
benchmarks/heatmaps.py, with the smallest films, where a second pass weighs most.
"""

import argparse
import json
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from _consumer import Publisher, Results, inference
from _heatmaps_path import FOLDERS, IMAGES, WARM_UP, store_pictures
from _record import REAL, SERVERS, plain_environment, running, write
from decode import MODEL
from inference import Turn, ours, turn
from numpy.typing import NDArray

from consumers.engines.choice import open_engine
from consumers.imaging.calibration import probabilities_of
from consumers.imaging.inputs import normalise
from consumers.packages.package import ModelPackage, load_package
from radstream.commands.made_ensemble import EnsembleOrder, make_ensemble
from radstream.stack.supervision import Supervisor
from schemas.model_package import MANIFEST
from tests.publishing import skip_to_the_end
from training.datasets import Film, read_examples, read_films
from training.measures import area_estimate, area_under_curve, calibration_error
from training.splits import Part, part_of

DRAWS = 2000
TWIN = "twin"
Scores = NDArray[np.float64]


def scores_of(package: ModelPackage, images: NDArray[np.uint8]) -> Scores:
    """Give each film's calibrated probability of the positive class, by the engine that serves."""
    operating, spec = package.manifest.operating, package.manifest.input
    engine = open_engine(package, None)
    logits = np.concatenate([engine.infer(normalise(image, spec)[None]).logits for image in images])
    return probabilities_of(logits, operating.temperature)[:, operating.classes.index(operating.positive)]


def difference(scores: Scores, others: Scores, labels: NDArray[np.int64], patients: Sequence[str]) -> dict[str, float]:
    """Give the AUC of the one less that of the other, with its 95 % interval by a bootstrap over patients."""
    random = np.random.default_rng(1)
    _, numbers = np.unique(np.array(patients), return_inverse=True)
    films = [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]
    drawn: list[float] = []
    while len(drawn) < DRAWS:
        chosen = np.concatenate([films[number] for number in random.integers(0, len(films), len(films))])
        if 0 < labels[chosen].sum() < len(chosen):
            areas = [area_under_curve(one[chosen], labels[chosen]) for one in (scores, others)]
            drawn.append(areas[0] - areas[1])
    low, high = np.percentile(drawn, [2.5, 97.5])
    value = area_under_curve(scores, labels) - area_under_curve(others, labels)
    return {name: round(float(one), 5) for name, one in (("value", value), ("low", low), ("high", high))}


def quality(packages: Mapping[str, ModelPackage], folder: Path, films: Sequence[Film]) -> dict[str, object]:
    """Compare members and ensemble on some films; the first is what the others are compared with."""
    manifest = next(iter(packages.values())).manifest
    examples = read_examples(folder, films, manifest.operating.classes, manifest.input)
    labels = (examples.labels == manifest.operating.classes.index(manifest.operating.positive)).astype(np.int64)
    patients = [film.patient for film in films]
    scores = {name: scores_of(package, examples.images) for name, package in packages.items()}
    first = next(iter(scores.values()))
    found: dict[str, object] = {"films": len(labels), "patients": examples.patients}
    for name, these in scores.items():
        area = area_estimate(these, labels)
        found[name] = {
            "auc": [round(one, 5) for one in (area.value, area.low, area.high)],
            "calibration_error": round(calibration_error(these, labels), 4),
            "auc_less_the_first": difference(these, first, labels, patients),
        }
    return found


def cost(folders: Mapping[str, Path], rounds: int) -> dict[str, object]:
    """Let the packages take turns in the whole path, without heat maps."""
    turns: dict[str, list[Turn]] = {name: [] for name in folders}
    with running(SERVERS) as (site, settings):
        events = [event for name in FOLDERS for event in store_pictures(settings, REAL / name)]
        servers = [pid for _, pid, _ in Supervisor(site).states().values() if pid]
        publisher, results = Publisher(settings), Results(settings)
        for _ in range(rounds):
            for name, folder in folders.items():
                skip_to_the_end(settings, folder.parent.name)
                environment = plain_environment() | site.environment
                own = {"RADSTREAM_HEATMAPS": "none", "RADSTREAM_MODEL_DIR": str(folder)}
                with inference(environment | own) as process:
                    ours(publisher, results, events, WARM_UP)
                    run = partial(ours, publisher, results, events, IMAGES)
                    turns[name].append(turn(run, IMAGES, [process.popen.pid], servers))
        results.close()
    first = next(iter(turns.values()))
    return {
        name: {
            "per_second": round(statistics.median(one.per_second for one in these), 1),
            "cpu_ms": round(statistics.median(one.cpu_ms + one.servers_cpu_ms for one in these), 2),
            "rate_to_the_first": round(
                statistics.median(one.per_second / other.per_second for one, other in zip(these, first, strict=True)), 3
            ),
        }
        for name, these in turns.items()
    }


def twin_of(package: ModelPackage, out: Path) -> ModelPackage:
    """Write the same network under another version: it costs what another of its kind would, and says nothing new."""
    version = f"{package.manifest.version}-{TWIN}"
    folder = out / package.manifest.name / version
    shutil.copytree(package.folder, folder)
    (folder / MANIFEST).write_text(json.dumps({**package.manifest.described, "version": version}))
    return load_package(folder)


def measure(given: argparse.Namespace, out: Path) -> dict[str, object]:
    """Make the ensemble in a folder of packages, and measure."""
    members = [load_package(one) for one in given.packages]
    for one in members:
        shutil.copytree(one.folder, out / one.manifest.name / one.manifest.version)
    figures: dict[str, object] = {}
    if len(members) == 1:
        first = members[0]
        threshold = first.manifest.operating.threshold
        ensemble = make_ensemble(EnsembleOrder(members=[first, twin_of(first, out)], out=out, threshold=threshold))
        figures["members"] = [first.manifest.version, "the same under another version"]
    else:
        ensemble = make_ensemble(EnsembleOrder(members=members, out=out, data=given.data))
        packages = {one.manifest.version: one for one in members} | {"ensemble": ensemble}
        classes = ensemble.manifest.operating.classes
        test = [film for film in read_films(given.data, classes) if part_of(film.patient) is Part.TEST]
        figures["members"] = list(packages)[:-1]
        figures["test"] = quality(packages, given.data, test)
        if given.external:
            figures["external"] = quality(packages, given.external, read_films(given.external, classes))
        print(figures, flush=True)
    folders = [out / one.manifest.name / one.manifest.version for one in (members[0], ensemble)]
    figures["cost"] = cost(dict(zip(("one network", "two or more"), folders, strict=True)), given.rounds)
    return figures


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", type=Path, metavar="PACKAGE", default=[MODEL], help="folders of members")
    parser.add_argument(
        "--data", type=Path, default=REAL.parent / "kermany", help="films that the members were trained on"
    )
    parser.add_argument("--external", type=Path, help="another site's films, whatever their part")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each, in turns")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rs-bench-models-") as folder:
        write("ensemble", measure(given, Path(folder)))


if __name__ == "__main__":
    main()
