"""The inference consumer against a bare loop over the same objects, and what it promises of latency and STAT.

`python benchmarks/inference.py [--quick] [--package NAME=FOLDER ...] [--only PARTS]` writes
benchmarks/results/inference.json. Servers, consumer, bare loop and this program share the machine.

Ratios: for each package and transfer syntax the two take turns, round by round, each with the machine for itself (the
other waits, its processes alive); the figure is the median of the rounds' ratios. Ours: from publishing a backlog of
events to the last result that a read_committed reader has, without heat maps (benchmarks/heatmaps.py weighs those).
Bare: see benchmarks/_bare_consumer.py. The objects, some synthetic films of 10 MB uncompressed, are put once.
"""

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from _bare_consumer import Bare
from _claims import claim
from _consumer import Publisher, Results, cores, inference
from _promises import cold_start, latency, members, stat_first
from _record import SERVERS, plain_environment, running, write
from _weigh import cpu_ms
from decode import CASES, MODEL, film, part10

from consumers.decoding.claim_check import data_set_at
from consumers.packages.package import load_package
from radstream.objects.stores import s3_objects
from radstream.settings import Settings
from radstream.stack.site import Site
from radstream.stack.supervision import Supervisor
from schemas.identity import data_set_hasher, object_key
from schemas.instance_received import InstanceReceived
from tests.publishing import skip_to_the_end

SYNTAXES = ("explicit little endian", "JPEG lossless SV1", "JPEG 2000 lossless", "HTJ2K lossless")
FILMS = 4
FEWEST, MOST = 8, 800
#: Before anything is weighed: Kafka's code is compiled while it is used, and its first transactions cost several times.
WARM_UP = 400
PATIENCE_SECONDS = 120.0
#: The share of the bare loop's rate that a package of this name must reach.
BARS = {"resnet50-f32": 0.9, "mobilenet-v3-large-int8": 0.8}


@dataclass(frozen=True, slots=True)
class Length:
    """How long each part measures."""

    rounds: int
    round_seconds: float
    rate_seconds: float
    stat_images: int
    routine_backlog: int


FULL = Length(3, 5.0, 15.0, 200, 5000)
QUICK = Length(3, 3.0, 6.0, 100, 5000)


def store_films(settings: Settings, syntax_name: str, count: int) -> list[InstanceReceived]:
    """Put films of one transfer syntax into the object store, once; give their events."""
    syntax, bits, encode = CASES[syntax_name]
    objects, pixels = s3_objects(settings), film()
    events = []
    for number in range(count):
        whole = part10((pixels + number).copy(), syntax, bits, encode)
        hasher = data_set_hasher(syntax)
        hasher.update(memoryview(whole)[data_set_at(whole) :])
        sha256 = hasher.hexdigest()
        objects.put(object_key(sha256), io.BytesIO(whole), len(whole))
        events.append(claim(settings.s3_bucket, sha256, len(whole), syntax))
    return events


def ours(publisher: Publisher, results: Results, events: Sequence[InstanceReceived], count: int) -> float:
    """Publish a backlog; give images a second from then to the last result."""
    before, began = len(results.seen), time.time()
    publisher.publish([events[number % len(events)] for number in range(count)])
    results.wait(before + count, PATIENCE_SECONDS)
    return count / (results.seen[-1][0] - began)


@dataclass(frozen=True, slots=True)
class Turn:
    """One round of one side: its rate, and the CPU time of an image (ms)."""

    per_second: float
    cpu_ms: float  # in its processes
    servers_cpu_ms: float
    client_cpu_ms: float  # in this one, which hands out the work and hears of its end

    @property
    def all_cpu_ms(self) -> float:
        """The CPU time of an image, wherever it was spent."""
        return self.cpu_ms + self.servers_cpu_ms + self.client_cpu_ms


def turn(run: Callable[[], float], count: int, own: Sequence[int], servers: Sequence[int]) -> Turn:
    """Run a round and weigh it."""
    before = [*(sum(map(cpu_ms, pids)) for pids in (own, servers)), 1000 * time.process_time()]
    rate = run()
    after = [*(sum(map(cpu_ms, pids)) for pids in (own, servers)), 1000 * time.process_time()]
    return Turn(rate, *((late - early) / count for early, late in zip(before, after, strict=True)))


def figures_of(mine: Sequence[Turn], theirs: Sequence[Turn]) -> dict[str, object]:
    """Compare the rounds. The share by CPU time holds on a machine that others use too: it asks what work was done."""
    shares = [one.per_second / other.per_second for one, other in zip(mine, theirs, strict=True)]
    by_cpu = [
        (other.cpu_ms + other.servers_cpu_ms) / (one.cpu_ms + one.servers_cpu_ms)
        for one, other in zip(mine, theirs, strict=True)
    ]
    sides = {"ours": mine, "bare": theirs}
    return {
        "ratio": round(statistics.median(shares), 3),
        "ratio_by_cpu_time": round(statistics.median(by_cpu), 3),
        "ratios": [round(share, 3) for share in shares],
        "per_second": {
            side: round(statistics.median(one.per_second for one in turns), 2) for side, turns in sides.items()
        },
        "cpu_ms": {side: round(statistics.median(one.cpu_ms for one in turns), 1) for side, turns in sides.items()},
        "servers_cpu_ms": {
            side: round(statistics.median(one.servers_cpu_ms for one in turns), 1) for side, turns in sides.items()
        },
    }


@dataclass(frozen=True, slots=True)
class Both:
    """Our consumer and the bare loop, started, over the same events; and the servers beside them."""

    consumer_pid: int
    publisher: Publisher
    results: Results
    bare: Bare
    servers: list[int]  # process ids


@contextmanager
def both(
    site: Site, environment: Mapping[str, str], package: Path, every: Sequence[InstanceReceived]
) -> Iterator[Both]:
    """Start both sides on one package; `every`: the events that the bare loop may be asked for."""
    settings = Settings.from_environment(site.environment)
    skip_to_the_end(settings, load_package(package).manifest.name)
    servers = [pid for _, pid, _ in Supervisor(site).states().values() if pid]
    with inference({**environment, "RADSTREAM_MODEL_DIR": str(package)}) as consumer, ExitStack() as stack:
        results = Results(settings)
        stack.callback(results.close)
        bare = Bare(settings, package, every, cores())
        stack.callback(bare.close)
        publisher = Publisher(settings)
        ours(publisher, results, every[-1:], WARM_UP)
        yield Both(consumer.popen.pid, publisher, results, bare, servers)


def ratios(
    site: Site, environment: Mapping[str, str], folder: Path, films: Mapping[str, list[InstanceReceived]],
    length: Length,
) -> dict[str, object]:  # fmt: skip
    """Let ours and the bare loop take turns over each syntax."""
    every = [event for events in films.values() for event in events]
    found: dict[str, object] = {}
    with both(site, environment, folder, every) as sides:
        for name, events in films.items():
            indices = [every.index(event) for event in events]
            guess = sides.bare.images_per_second(indices * 2)
            count = round(min(MOST, max(FEWEST, guess * length.round_seconds)))
            jobs = [indices[number % FILMS] for number in range(count)]
            run_ours = partial(ours, sides.publisher, sides.results, events, count)
            run_bare = partial(sides.bare.images_per_second, jobs)
            ours(sides.publisher, sides.results, events, FEWEST)
            mine, theirs = [], []
            for _ in range(length.rounds):
                mine.append(turn(run_ours, count, [sides.consumer_pid], sides.servers))
                theirs.append(turn(run_bare, count, sides.bare.pids, sides.servers))
            found[name] = {
                **figures_of(mine, theirs), "images_a_round": count, "megabytes": round(events[0].size_bytes / 1e6, 2)
            }  # fmt: skip
            print(f"{folder.parent.name}, {name}: {found[name]}", flush=True)
    return found


def measure(packages: Mapping[str, Path], parts: Sequence[str], length: Length) -> dict[str, object]:
    """Measure each part in a system of its own servers."""
    figures: dict[str, object] = {"cores": cores(), "bare_processes": cores(), "bars": BARS}
    with running(SERVERS) as (site, settings):
        environment = {**plain_environment(), **site.environment, "RADSTREAM_HEATMAPS": "none"}
        films = {name: store_films(settings, name, FILMS) for name in SYNTAXES}
        plain = films[SYNTAXES[0]]
        shipped = {**environment, "RADSTREAM_MODEL_DIR": str(MODEL)}
        skip_to_the_end(settings, load_package(MODEL).manifest.name)
        if "ratios" in parts:
            figures["ratios"] = {
                label: ratios(site, environment, folder, films, length) for label, folder in packages.items()
            }
            skip_to_the_end(settings, load_package(MODEL).manifest.name)
        ways: dict[str, Callable[[], dict[str, object]]] = {
            "cold_start": lambda: cold_start(settings, shipped, plain, length.rounds),
            "members": lambda: members(settings, shipped, plain, length.rate_seconds),
            "latency": lambda: latency(settings, shipped, plain, length.rate_seconds),
            "stat": lambda: stat_first(settings, shipped, plain, (length.stat_images, length.routine_backlog)),
        }
        for name, way in ways.items():
            if name in parts:
                figures[name] = way()
                print(f"{name}: {figures[name]}", flush=True)
    return figures


def main() -> None:
    """Measure once."""
    parts = ("ratios", "cold_start", "members", "latency", "stat")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter rounds, fewer images")
    parser.add_argument(
        "--package", action="append", metavar="NAME=FOLDER", help="a model package to take the ratio of"
    )
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    given = parser.parse_args()
    packages = {name: Path(at) for name, _, at in (one.partition("=") for one in given.package or [])}
    with tempfile.TemporaryDirectory(prefix="rs-bench-models-") as name:
        if "ratios" in given.only and not packages:
            packages = default_packages(Path(name))
        found = measure(packages, given.only, QUICK if given.quick else FULL)
    write("inference", found)


def default_packages(folder: Path) -> dict[str, Path]:
    """Write the packages that the bars are for; weights are random, which costs the same."""
    return {
        "resnet50-f32": _written(folder, "resnet50"),
        "mobilenet-v3-large-int8": _written(folder, "mobilenet_v3_large", "--int8"),
    }


def _written(folder: Path, *words: str) -> Path:
    """Write a package in a process of its own: torch would stay in this one, and in each that it starts."""
    program = Path(__file__).parent / "_untrained.py"
    done = subprocess.run(
        [sys.executable, program, *words, "--out", folder], stdout=subprocess.PIPE, text=True, check=True
    )
    return Path(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
