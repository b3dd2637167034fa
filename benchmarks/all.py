"""Every benchmark, one after the other on a machine that does nothing else: renews every figure of the docs.

`python benchmarks/all.py [--quick] [--only NAME ...] [--list]`; `make bench` runs it. Each writes
benchmarks/results/NAME.json; at the end docs/tables.py makes the documents from them. One that fails is named at the
end, with what it said above, and the others run on. Durations are of 2 cores.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from _record import ROOT

from radstream.settings import process_environment


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A program of this folder, how long it takes (minutes, about), and its arguments for a quick run."""

    name: str
    minutes: float
    quick_minutes: float
    quick: tuple[str, ...] = ("--quick",)


BENCHMARKS = (
    Benchmark("demo", 1.5, 1.5, ()),
    Benchmark("stack", 0.5, 0.5, ()),
    Benchmark("memory", 1, 1, ()),
    Benchmark("latency", 1.5, 1.5, ()),
    Benchmark("throughput", 1, 1, ()),
    Benchmark("decode", 2, 1, ("--rounds", "3")),
    Benchmark("engines", 2, 1),
    Benchmark("heatmaps", 6, 3, ("--rounds", "2")),
    Benchmark("ensemble", 2, 1, ("--rounds", "1")),
    Benchmark("inference", 11, 6),
    Benchmark("inference_memory", 7, 2),
    Benchmark("peers", 12, 4),
    Benchmark("predict_door", 3, 2),
    Benchmark("windows", 3, 3, ()),
    Benchmark("worth", 2, 1, ("--films", "120")),
    Benchmark("listener", 25, 3),
    Benchmark("soak", 31, 3, ("--minutes", "2")),
)


def command(one: Benchmark, *, quick: bool) -> list[str]:
    """Give the words that run it."""
    return [sys.executable, f"benchmarks/{one.name}.py", *(one.quick if quick else ())]


def run(chosen: Sequence[Benchmark], *, quick: bool) -> list[str]:
    """Run them; give the names of those that failed."""
    failed = []
    for one in chosen:
        words = command(one, quick=quick)
        print(f"== {' '.join(words[1:])} (about {one.quick_minutes if quick else one.minutes:g} min)", flush=True)
        began = time.monotonic()
        status = subprocess.run(words, cwd=ROOT, env=process_environment(), check=False).returncode
        print(f"== {one.name}: status {status} after {(time.monotonic() - began) / 60:.1f} min", flush=True)
        if status:
            failed.append(one.name)
    return failed


def main() -> None:
    """Run all, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter runs: they show that all works, no more")
    parser.add_argument("--only", nargs="+", choices=[one.name for one in BENCHMARKS], metavar="NAME")
    parser.add_argument("--list", action="store_true", help="list commands and durations, run nothing")
    given = parser.parse_args()
    chosen = [one for one in BENCHMARKS if not given.only or one.name in given.only]
    minutes = sum(one.quick_minutes if given.quick else one.minutes for one in chosen)
    if given.list:
        for one in chosen:
            took = one.quick_minutes if given.quick else one.minutes
            print(f"{took:5.1f} min  python {' '.join(command(one, quick=given.quick)[1:])}")
        print(f"{minutes:5.1f} min  in all")
        return
    failed = run(chosen, quick=given.quick)
    subprocess.run([sys.executable, "docs/tables.py"], cwd=ROOT, env=process_environment(), check=True)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
