"""The CPU engines side by side: images a second of each, by network and precision, interleaved in one run.

`python benchmarks/engines.py [--rounds N] [--quick]` writes benchmarks/results/engines.json. One image at a time, as
the service runs a CPU engine, on one thread and on two. Networks that ship are measured with their weights, the others
with random ones: speed doesn't depend on them. OpenVINO computes in float32 where the graph isn't int8.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from _record import ROOT, write
from _untrained import untrained, untrained_int8

from consumers.engines.choice import CPU_ORDER, INT8_ORDER, open_engine
from consumers.packages.package import load_package

SHIPPED = ROOT / "models" / "chest-pneumonia" / "1.0.0"
MODELS = ROOT / "build" / "models"
NETWORKS = ("mobilenet_v3_large", "resnet50")
QUICK_ROUNDS = 8


def packages() -> dict[str, Path]:
    """Make what is not there; give each package by what it is."""
    found = {"efficientnet_lite0, float32": SHIPPED}
    for name in NETWORKS:
        found[f"{name}, float32"] = untrained(name, MODELS)
        found[f"{name}, int8"] = untrained_int8(name, MODELS)
    return found


def measure(rounds: int) -> dict[str, object]:
    """Time every engine with every package, in turn."""
    figures: dict[str, object] = {}
    for title, folder in packages().items():
        package = load_package(folder)
        spec = package.manifest.input
        batch = np.random.default_rng(1).normal(0, 1, (1, 3, spec.height, spec.width)).astype(np.float32)
        order = CPU_ORDER if package.manifest.precision == "float32" else INT8_ORDER
        for threads in (1, 2):
            engines = {name: open_engine(package, name, threads) for name in order}
            times: dict[str, list[float]] = {name: [] for name in engines}
            for _ in range(rounds):
                for name, engine in engines.items():
                    start = time.perf_counter()
                    engine.infer(batch)
                    times[name].append(time.perf_counter() - start)
            figures[f"{title}, {threads} thread{'s' if threads > 1 else ''}"] = {
                name: {"median": round(1 / statistics.median(found), 1), "best": round(1 / min(found), 1)}
                for name, found in times.items()
            }
            print(title, threads, figures[f"{title}, {threads} thread{'s' if threads > 1 else ''}"])
    return {"rounds": rounds, "images_per_second": figures}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds")
    given = parser.parse_args()
    write("engines", measure(QUICK_ROUNDS if given.quick else given.rounds))
