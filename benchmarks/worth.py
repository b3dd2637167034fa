"""What doubts are worth: strange films by site, near misses, what shrinking does, and the checks' cost.

`python benchmarks/worth.py [--films N]` writes benchmarks/results/worth.json. Films of the test part of the model's own
data, all films of the other site (nothing was fitted to them), and phantoms; the engine is ONNX Runtime on one thread.
AUROC: the chance that a film of another kind scores higher than one of the model's own kind. Ties between films that
lie farther than every reference film are broken by the distance.
"""

import argparse
import statistics
import time
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from _record import ROOT, write
from numpy.typing import NDArray

from consumers.engines.choice import open_engine
from consumers.engines.engine import Engine
from consumers.imaging.decision import decide
from consumers.imaging.decode import decode
from consumers.imaging.inputs import InputSpec, normalise
from consumers.imaging.part10 import read_part10
from consumers.imaging.preprocess import resize
from consumers.imaging.quality import quality_of
from consumers.imaging.statistics import image_statistics
from consumers.imaging.windowing import to_grey
from consumers.packages.manifest import Manifest
from consumers.packages.package import load_package
from consumers.results.worth import Worth
from radstream.phantoms.dicom import phantom
from schemas.model_package import REFERENCE
from training.damage import shrunk
from training.datasets import read_examples, read_films
from training.measures import area_under_curve
from training.splits import Part, part_of

MODEL = ROOT / "models" / "chest-pneumonia" / "1.0.0"
SIDES = (24, 32, 48, 64, 80, 96, 128)
PHANTOMS = 48
Films = NDArray[np.uint8]


def own_and_others(data: Path, manifest: Manifest, films: int) -> tuple[Films, NDArray[np.int64], dict[str, Films]]:
    """Read the test part of the model's data with its labels, and what it never saw."""
    classes, spec = manifest.operating.classes, manifest.input
    rows = [film for film in read_films(data / "kermany", classes) if part_of(film.patient) is Part.TEST]
    own = read_examples(data / "kermany", rows[:: max(1, len(rows) // films)], classes, spec)
    adults = read_films(data / "nih", classes)
    others = read_examples(data / "nih", adults[:: max(1, len(adults) // films)], classes, spec)
    return own.images, own.labels, {"nih": others.images, "phantoms": drawn(spec)}


def drawn(spec: InputSpec) -> Films:
    """Draw phantoms as the demo sends them."""
    found = []
    for number in range(PHANTOMS):
        file = BytesIO()
        phantom(1, number, datetime(2026, 1, 1, tzinfo=UTC)).save_as(file, enforce_file_format=True)
        parsed = read_part10(file.getvalue())
        found.append(resize(to_grey(decode(parsed), parsed.dataset), spec))
    return np.stack(found)


def seen(engine: Engine, films: Films, spec: InputSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Run the model: logits and projections."""
    answers = [engine.infer(normalise(film, spec)[None]) for film in films]
    return np.concatenate([one.logits for one in answers]), np.concatenate([one.projection for one in answers])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=360, help="films of each site at most, about")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of kermany and nih")
    order = parser.parse_args()
    package = load_package(MODEL)
    manifest, worth = package.manifest, Worth.from_reference(package.read(REFERENCE))
    engine, spec, operating = open_engine(package, "onnxruntime"), manifest.input, manifest.operating
    own, labels, others = own_and_others(order.data, manifest, order.films)

    novelty = worth.novelty
    if novelty is None:
        raise ValueError(f"{MODEL} has no reference of its own films: python -m training reissue")

    def strange(projections: NDArray[np.float32], films: Films) -> tuple[NDArray[np.float64], float]:
        pairs = [(row, image_statistics(film)) for row, film in zip(projections, films, strict=True)]
        above = [novelty.score(*pair) > novelty.review_above for pair in pairs]
        return np.array([novelty.distance(*pair) for pair in pairs]), float(np.mean(above))

    def findings(films: Films) -> list[str]:
        return [decide(row, operating).finding for row in seen(engine, films, spec)[0]]

    def changed(side: int) -> float:
        after = findings(np.stack([shrunk(film, side) for film in own]))
        return float(np.mean([now != one.finding for now, one in zip(after, decided, strict=True)]))

    logits, projections = seen(engine, own, spec)
    distances, flagged = strange(projections, own)
    out = {"own test films": {"films": len(own), "flagged": round(flagged, 4)}}
    for name, films in others.items():
        far, share = strange(seen(engine, films, spec)[1], films)
        is_other = np.concatenate([np.zeros(len(own), np.int64), np.ones(len(films), np.int64)])
        area = area_under_curve(np.concatenate([distances, far]), is_other)
        out[name] = {"films": len(films), "flagged": round(share, 4), "auroc": round(area, 4)}
    decided = [decide(row, operating) for row in logits]
    wrong = np.array([one.finding != operating.classes[label] for one, label in zip(decided, labels, strict=True)])
    near = np.array([bool(worth.doubts(one.probabilities[operating.positive], None)) for one in decided])
    write(
        "worth",
        {
            "out_of_distribution": out,
            "near_threshold": {
                "band": worth.near_threshold,
                "share_of_test_films": round(float(near.mean()), 4),
                "errors": int(wrong.sum()),
                "errors_within": int((wrong & near).sum()),
            },
            "decisions_changed_by_side": {str(side): round(changed(side), 4) for side in SIDES},
            "quality_ms": round(_cost_ms(own), 3),
        },
    )


def _cost_ms(films: Films) -> float:
    cv2.setNumThreads(1)
    times = []
    for film in films[:200]:
        begun = time.thread_time()
        quality_of(film, (float(film.shape[0]), float(film.shape[1])))
        times.append(1000 * (time.thread_time() - begun))
    return statistics.median(times)


if __name__ == "__main__":
    main()
