"""Our consumer beside LitServe and Ray Serve, each as a share of the same bare loop, in turns on the same cores.

`python benchmarks/peers.py [--quick] [--package NAME=FOLDER ...]` writes benchmarks/results/peers.json. The peers are
installed into build/peers, never into our environment. All four sides get the same objects from the same store by the
same client, check the same hash and decode and run the same model by the same functions, engine and threads
(`Worker` in _bare_consumer.py). Beside that
- the bare loop does nothing;
- ours reads events from the log, decodes in processes whose crash costs one image, keeps lanes, judges scope and
  quality, and commits a calibrated result for each image in a transaction; its rate runs to the last result that a
  read_committed reader has;
- a peer answers an HTTP request with logits. No log, no result that outlives it, no lanes, no crash guard.
Each peer runs with the best of a few settings, tried with each package. Memory is PSS of all processes of a side.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from _consumer import cores
from _peers import IN_FLIGHT, PEERS, Peer, Serving, install, serving
from _record import SERVERS, plain_environment, running, write
from _weigh import cpu_ms, pss_mb
from inference import FEWEST, FILMS, SYNTAXES, Turn, both, default_packages, ours, store_films, turn

from radstream.stack.site import Site
from schemas.instance_received import InstanceReceived

Events = Sequence[InstanceReceived]
Films = Mapping[str, Events]

MOST = 800
IDLE_SECONDS = 2.0
#: What the settings are tried with: the largest objects and the cheapest images.
TRIED_WITH = (SYNTAXES[0], SYNTAXES[-1])


@dataclass(frozen=True, slots=True)
class Length:
    """How long it measures."""

    rounds: int
    round_seconds: float
    trial_seconds: float
    settings: int  # of each peer (count)
    packages: int


FULL = Length(3, 4.0, 2.0, 4, 2)
QUICK = Length(2, 2.0, 1.0, 2, 1)


@dataclass(frozen=True, slots=True)
class Side:
    """Who works off images, and its processes."""

    run: Callable[[Events], float]  # gives images a second
    pids: Sequence[int]


def repeated(events: Events, count: int) -> list[InstanceReceived]:
    """Give so many events, over and over."""
    return [events[number % len(events)] for number in range(count)]


def count_for(run: Callable[[Events], float], events: Events, seconds: float) -> int:
    """Guess how many images fill a round."""
    run(repeated(events, FEWEST))
    return round(min(MOST, max(FEWEST, run(repeated(events, 2 * FEWEST)) * seconds)))


def best_setting(
    peer: Peer, package: Path, environment: Mapping[str, str], films: Films, length: Length
) -> dict[str, object]:
    """Try a peer's settings, each alone on the machine; the best has the highest geometric mean."""
    tried: dict[str, dict[str, object]] = {}
    means: dict[str, float] = {}
    for name, flags in islice(peer.tries.items(), length.settings):
        rates = {}
        with serving(peer, flags, package, environment, films[TRIED_WITH[0]][0]) as found:
            for syntax in TRIED_WITH:
                count = count_for(found.images_per_second, films[syntax], length.trial_seconds)
                rates[syntax] = found.images_per_second(repeated(films[syntax], count))
        means[name] = statistics.geometric_mean(rates.values())
        tried[name] = {
            "flags": flags, "images_per_second": {syntax: round(rate, 1) for syntax, rate in rates.items()}
        }  # fmt: skip
        print(f"{peer.name}, {name}: {tried[name]['images_per_second']}", flush=True)
    return {"best": max(means, key=means.__getitem__), "tried": tried}


def idle_cpu(pids: Sequence[int]) -> float:
    """Give the CPU time (ms a second) of processes that nobody asks anything: the others' rounds pay it too."""
    before = sum(map(cpu_ms, pids))
    time.sleep(IDLE_SECONDS)
    return round((sum(map(cpu_ms, pids)) - before) / IDLE_SECONDS, 1)


def rounds_of(
    sides: Mapping[str, Side], events: Events, servers: Sequence[int], length: Length
) -> dict[str, dict[str, object]]:
    """Let the sides take turns over one transfer syntax; another begins each round."""
    count = count_for(sides["bare"].run, events, length.round_seconds)
    jobs, turns, order = repeated(events, count), {name: list[Turn]() for name in sides}, list(sides)
    for side in sides.values():
        side.run(repeated(events, 2 * FEWEST))
    for number in range(length.rounds):
        for name in order[number % len(order) :] + order[: number % len(order)]:
            turns[name].append(turn(partial(sides[name].run, jobs), count, sides[name].pids, servers))
    return {name: figures_of(mine, turns["bare"]) for name, mine in turns.items()}


def figures_of(mine: Sequence[Turn], bare: Sequence[Turn]) -> dict[str, object]:
    """Give a side's figures, and the median of its rounds' shares of the bare loop's rates."""
    shares = [one.per_second / other.per_second for one, other in zip(mine, bare, strict=True)]
    by_cpu = [other.all_cpu_ms / one.all_cpu_ms for one, other in zip(mine, bare, strict=True)]
    return {
        "images_per_second": round(statistics.median(one.per_second for one in mine), 2),
        "ratio": round(statistics.median(shares), 3),
        "ratio_by_cpu_time": round(statistics.median(by_cpu), 3),
        "ratios": [round(share, 3) for share in shares],
        "cpu_ms": round(statistics.median(one.cpu_ms for one in mine), 1),
        "servers_cpu_ms": round(statistics.median(one.servers_cpu_ms for one in mine), 1),
        "client_cpu_ms": round(statistics.median(one.client_cpu_ms for one in mine), 1),
    }


def compared(site: Site, package: Path, films: Films, length: Length) -> dict[str, object]:
    """Choose each peer's setting, then start all sides and let them take turns."""
    environment = {**plain_environment(), **site.environment, "RADSTREAM_HEATMAPS": "none"}
    chosen = {peer.name: best_setting(peer, package, site.environment, films, length) for peer in PEERS}
    every = [event for events in films.values() for event in events]
    with both(site, environment, package, every) as started, ExitStack() as stack:
        bare = started.bare
        sides = {
            "bare": Side(lambda jobs: bare.images_per_second([every.index(one) for one in jobs]), bare.pids),
            "ours": Side(
                lambda jobs: ours(started.publisher, started.results, jobs, len(jobs)), [started.consumer_pid]
            ),
        }
        for peer in PEERS:
            flags = peer.tries[str(chosen[peer.name]["best"])]
            found: Serving = stack.enter_context(serving(peer, flags, package, site.environment, every[0]))
            sides[peer.name] = Side(found.images_per_second, [found.pid])
        syntaxes = {}
        for name, events in films.items():
            syntaxes[name] = rounds_of(sides, events, started.servers, length)
            print(f"{package.parent.name}, {name}: {syntaxes[name]}", flush=True)
        weighed = {name: round(sum(map(pss_mb, side.pids)), 1) for name, side in sides.items()}
        idle = {name: idle_cpu(side.pids) for name, side in sides.items()}
    return {"settings": chosen, "syntaxes": syntaxes, "pss_mb": weighed, "idle_cpu_ms_a_second": idle}


def measure(packages: Mapping[str, Path], length: Length, versions: Mapping[str, str]) -> dict[str, object]:
    """Measure each package in a system of its own servers."""
    with running(SERVERS) as (site, settings):
        films = {name: store_films(settings, name, FILMS) for name in SYNTAXES}
        found = {label: compared(site, folder, films, length) for label, folder in packages.items()}
    return {"cores": cores(), "in_flight": IN_FLIGHT, "peers": versions, "packages": found}


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one package, two settings of each peer, short rounds")
    parser.add_argument("--package", action="append", metavar="NAME=FOLDER", help="a model package to compare with")
    given = parser.parse_args()
    length, versions = QUICK if given.quick else FULL, install()
    packages = {name: Path(at).absolute() for name, _, at in (one.partition("=") for one in given.package or [])}
    with tempfile.TemporaryDirectory(prefix="rs-bench-models-") as name:
        if not packages:
            made = default_packages(Path(name))
            packages = dict(list(made.items())[-length.packages :])
        found = measure(packages, length, versions)
    write("peers", found)


if __name__ == "__main__":
    main()
