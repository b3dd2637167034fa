"""What heat maps cost: images a second through the engine with a map of each image stored, to those without.

`python benchmarks/heatmaps.py [--rounds N]` writes benchmarks/results/heatmaps.json. The shipped model on ONNX
Runtime with one thread, behind the service's own door; the real object store; rounds in turns, the ratio is the
median of the rounds'. CPU is this process's own, all threads: on a busy machine it tells more than the rate. By
default only positives get a map, so this is the most that they can cost. Nothing is fetched or decoded here: what the
default costs in the whole path, at several shares of positives, stands under `path` (benchmarks/_heatmaps_path.py).
"""

import argparse
import statistics
import time

import numpy as np
from _heatmaps_path import in_the_path
from _record import ROOT, SERVERS, running, write

from consumers.imaging.inputs import normalise
from consumers.inference.batches import BatchLimits
from consumers.inference.forward import Forward
from consumers.models.loaded import LoadedModel, load_model
from consumers.packages.package import load_package
from consumers.results.heatmaps import HeatMaps, Wanted, Which, key_of
from radstream.objects.stores import s3_objects
from radstream.settings import Settings
from schemas.identity import dead_letter_id
from schemas.words import Lane, Role

MODEL = ROOT / "models" / "chest-pneumonia" / "1.0.0"
IMAGES = 160
#: Most that a map of each image may cost (share of throughput).
BAR = 0.1


def rate_and_cpu(settings: Settings, model: LoadedModel, which: Which, number: int) -> tuple[float, float]:
    """Run the images, and wait for the last map; give images a second, and CPU (ms) an image."""
    random = np.random.default_rng(number)
    films = random.integers(0, 256, (8, model.spec.height, model.spec.width), np.uint8)
    tensors = [normalise(film, model.spec) for film in films]
    forward, heatmaps = Forward(BatchLimits(8)), HeatMaps(s3_objects(settings), which)
    begun, spent = time.perf_counter(), time.process_time()
    answers = [forward.submit(Lane.ROUTINE, model, tensors[index % len(tensors)]) for index in range(IMAGES)]
    wanted: list[Wanted] = []
    stored = 0
    for index, waiting in enumerate(answers):
        found = waiting.result().inference
        shown = heatmaps.class_of(found.logits[0], model.operating, Role.CHAMPION)
        if shown is not None and found.evidence is not None:
            name = dead_letter_id("benchmark", which, number, index)
            wanted.append(Wanted(key_of(name, 1), found.evidence[0], shown))
        if len(wanted) == settings.commit_images or index == IMAGES - 1:
            heatmaps.store(wanted)
            stored += len(wanted)
            wanted = []
    took, spent = time.perf_counter() - begun, time.process_time() - spent
    forward.close()
    if which is Which.ALL and stored != IMAGES:
        raise RuntimeError(f"{stored} maps of {IMAGES} images: the package's graph gives no evidence")
    return IMAGES / took, 1000 * spent / IMAGES


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each, in turns")
    rounds = parser.parse_args().rounds
    model = load_model(load_package(MODEL), "onnxruntime")
    measured: dict[Which, list[tuple[float, float]]] = {Which.NONE: [], Which.ALL: []}
    with running(SERVERS) as (site, settings):
        s3_objects(settings).ensure_bucket()
        rate_and_cpu(settings, model, Which.NONE, IMAGES)  # warm up
        for number in range(rounds):
            for which, found in measured.items():
                found.append(rate_and_cpu(settings, model, which, number))
        path = in_the_path(site, settings, MODEL, rounds)
    pairs = list(zip(measured[Which.NONE], measured[Which.ALL], strict=True))
    ratios = [with_maps[0] / without[0] for without, with_maps in pairs]
    cpu = [without[1] / with_maps[1] for without, with_maps in pairs]
    write(
        "heatmaps",
        {
            "images": IMAGES,
            "images_per_second": {
                str(which): [round(rate, 1) for rate, _ in found] for which, found in measured.items()
            },
            "cpu_ms": {str(which): [round(spent, 2) for _, spent in found] for which, found in measured.items()},
            "ratio": round(statistics.median(ratios), 3),
            "ratio_by_cpu": round(statistics.median(cpu), 3),
            "bar": 1 - BAR,
            "path": path,
        },
    )


if __name__ == "__main__":
    main()
