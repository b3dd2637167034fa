"""Whether memory, descriptors and threads of the listener stay flat at full rate on a small spool disk, for long.

`python benchmarks/soak.py [--minutes M] [--policy P]` writes benchmarks/results/soak.json. Four dcmsend send without a
pause, each over its own films, whose identity is renewed before each pass. The spool lies on a tmpfs of its own (root
may mount one; else on the disk), so forwarded files must be purged in time or images are refused. Old objects are
removed from the object store's folder: nobody reads them. A line is fitted through each measure after the first fifth
of the run; what it rises over the run is its growth.
"""

import argparse
import os
import re
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3
from _films import SyntheticFilm, make_films
from _receivers import Running, ours
from _record import SERVERS, plain_environment, running, write
from _senders import DCMSEND, ENVIRONMENT, Sender
from _weigh import descriptors, own_rss_mb, rss_mb, threads, tree

from radstream.broker.topic_reader import read_to_end
from radstream.registry import RegistryIds
from radstream.settings import Settings
from radstream.spool.spool import waiting
from schemas.codec import Codec
from schemas.topics import RECEIVED_ROUTINE

SENDERS = 4
FILMS = 100  # of each sender
SIZE_MB = 0.5
SPOOL_MB = 1024
SAMPLE_SECONDS = 10.0
OBJECTS_KEPT_SECONDS = 20.0
SETTLE_SECONDS = 120.0
WARM_UP_SHARE = 0.2
#: What a measure may grow over the whole run; memory: the larger of this and a share of its median.
BOUNDS = {"rss_mb": 16.0, "descriptors": 8.0, "threads": 4.0}
RSS_SHARE = 0.1

_PUBLISHED = re.compile(r"^radstream_listener_published_total\{.*\} ([\d.e+]+)$", re.MULTILINE)


@dataclass(slots=True)
class Traffic:
    """Senders that never pause; their counts are exact, by DCMTK's own logs."""

    port: int
    acknowledged: int = 0
    refused: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, films: Sequence[SyntheticFilm]) -> None:
        """Begin to send."""
        for number in range(SENDERS):
            share = films[number::SENDERS]
            self._threads.append(threading.Thread(target=self._send, args=(share,), daemon=True))
            self._threads[-1].start()

    def stop(self) -> None:
        """Let each sender finish its pass."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self, films: Sequence[SyntheticFilm]) -> None:
        sender = Sender(DCMSEND, 1, ENVIRONMENT)
        while not self._stop.is_set():
            for film in films:
                film.renew()
            sent = sender.send([film.path for film in films], self.port)
            with self._guard:
                self.acknowledged += len(sent.answers_ms)
                self.refused += sent.failed


@contextmanager
def small_disk() -> Iterator[Path]:
    """Give a folder on a file system of its own, if we may mount one."""
    with tempfile.TemporaryDirectory(prefix="rs-soak-") as name:
        mounted = (
            os.getuid() == 0
            and not subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={SPOOL_MB}m", "tmpfs", name], check=False
            ).returncode
        )
        try:
            yield Path(name)
        finally:
            if mounted:
                subprocess.run(["umount", "--lazy", name], check=True)


def sample(at: Running, spool: Path, traffic: Traffic, metrics_port: int, began: float) -> dict[str, Any]:
    """Look once at everything."""
    images = len(list(spool.glob("*/*@*")))
    held = {}  # by inode: a segment has the name of each of its images
    for path in spool.glob("*/*"):
        with suppress(OSError):
            found = path.stat()
            held[found.st_ino] = found.st_blocks * 512
    page = urllib3.request("GET", f"http://127.0.0.1:{metrics_port}/metrics").data.decode()
    return {
        "seconds": round(time.monotonic() - began, 1),
        "rss_mb": round(rss_mb(at.pid), 1),
        "rss_mb_each": [round(own_rss_mb(pid), 1) for pid in tree(at.pid)],
        "descriptors": descriptors(at.pid),
        "threads": threads(at.pid),
        "spool_files": images,
        "spool_mb": round(sum(held.values()) / 2**20, 1),
        "acknowledged": traffic.acknowledged,
        "refused": traffic.refused,
        "published": int(sum(float(value) for value in _PUBLISHED.findall(page))),
    }


def growth(samples: Sequence[Mapping[str, Any]], name: str) -> float:
    """Give what the fitted line of a measure rises over the run."""
    late = samples[int(len(samples) * WARM_UP_SHARE) :]
    seconds = [one["seconds"] for one in late]
    slope = statistics.linear_regression(seconds, [one[name] for one in late]).slope
    rise: float = slope * (seconds[-1] - seconds[0])
    return round(rise, 2)


def forget_objects(folder: Path) -> None:
    """Remove objects that were put a while ago."""
    oldest = time.time() - OBJECTS_KEPT_SECONDS
    for path in folder.glob("*/*.dcm"):
        with suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def events_in_log(settings: Settings) -> tuple[int, int]:
    """Count the events in the log, and how many different ones they are."""
    codec = Codec(RegistryIds(settings.schema_registry_url))
    events = [codec.decode(one.value).event_id for one in read_to_end(settings, RECEIVED_ROUTINE)]
    return len(events), len(set(events))


def measure(minutes: float, policy: str, processes: int) -> dict[str, object]:
    """Send for so long, watch, and judge."""
    load_before = round(os.getloadavg()[0], 2)
    with (
        tempfile.TemporaryDirectory(prefix="rs-films-", dir="/dev/shm") as memory,
        tempfile.TemporaryDirectory(prefix="rs-soak-state-") as disk,
        small_disk() as spool,
        running(SERVERS) as (site, settings),
    ):
        films = make_films(Path(memory), SIZE_MB, SENDERS * FILMS)
        environment = {**plain_environment(), **site.environment}
        objects = site.state_dir / "objects" / "radstream" / "instances"
        with ours(policy, environment, processes=processes, spool=spool).running(Path(disk) / "run") as at:
            traffic, samples, began = Traffic(at.port), [], time.monotonic()
            traffic.start(films)
            while time.monotonic() - began < 60 * minutes:
                time.sleep(SAMPLE_SECONDS)
                samples.append(sample(at, spool, traffic, at.other_port, began))
                forget_objects(objects)
                print(samples[-1], flush=True)
            traffic.stop()
            deadline = time.monotonic() + SETTLE_SECONDS
            while waiting(spool) and time.monotonic() < deadline:
                time.sleep(1.0)
            events, different = events_in_log(settings)
        whole = os.statvfs(spool)
    grown = {name: growth(samples, name) for name in BOUNDS}
    rss = statistics.median(one["rss_mb"] for one in samples)
    bounds = {**BOUNDS, "rss_mb": round(max(BOUNDS["rss_mb"], RSS_SHARE * rss), 1)}
    flat = all(grown[name] <= bounds[name] for name in bounds)
    whole_log = events == different == traffic.acknowledged
    return {
        "minutes": minutes,
        "load_before": load_before,
        "policy": policy,
        "processes": processes,
        "images_mb": SIZE_MB,
        "verdict": ("flat" if flat else "not flat") + ("" if whole_log else "; log and acknowledgements differ"),
        "growth": grown,
        "bounds": bounds,
        "acknowledged": traffic.acknowledged,
        "refused": traffic.refused,
        "events": events,
        "different_events": different,
        "images_per_second": round(samples[-1]["acknowledged"] / samples[-1]["seconds"], 1),
        "spool_disk_mb": round(whole.f_blocks * whole.f_frsize / 2**20),
        "spool_peak_mb": max(one["spool_mb"] for one in samples),
        "samples": samples,
    }


def main() -> None:
    """Soak once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--policy", choices=("published", "spool"), default="published")
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    write("soak", measure(given.minutes, given.policy, given.processes))


if __name__ == "__main__":
    main()
