"""The listener beside other receivers: images a second, time to the answer, CPU and memory, all in one run.

`python benchmarks/listener.py [--quick] [--rounds N]` writes benchmarks/results/listener.json. Receivers take turns
(round robin), each started afresh, warmed up and killed after its turn; a figure is the median of the rounds, a ratio
the median of the rounds' ratios, so that whatever slows one slows the other. Senders, receivers and servers share the
machine. Ours forwards to journal, object store and log while it receives; the others only write a file. The bare
receive loop (`_bare_receiver.py`) says what a receiver reaches that does nothing but receive, hash and write.
The quick matrix (4 associations, disk, 0.5 and 10 MB) takes about 5 minutes, the full one 27.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from _backlog import measure_backlog
from _films import SyntheticFilm, make_films
from _listener_sums import (
    BARE,
    BARE_RECEIVER,
    BARE_RECEIVER_NO_HASH,
    PUBLISHED,
    REFERENCE,
    SPOOL,
    BareTurn,
    Turn,
    bars,
    figures,
    median,
    of_physics,
    ratio,
)
from _receivers import Receiver, Running, bare_receiver, orthanc, ours, pynetdicom_app, storescp
from _record import SERVERS, plain_environment, running, write
from _senders import AS_INSTALLED, DCMSEND, ENVIRONMENT, STORESCU_TLS, Sender, Sent
from _tls import certificate
from _weigh import Peak, cpu_ms, pss_mb

from radstream.stack.site import Site
from radstream.stack.supervision import Supervisor

ROUNDS = 3
MEMORY = Path("/dev/shm")  # noqa: S108 - the point is that it is tmpfs
IMAGES = {0.5: 1000, 10.0: 96, 50.0: 16}
SLOW_PART = 8  # slow receivers and senders get so much fewer
WARM_UP = 16  # images before the clock runs
REFERENCE_TLS = "storescp +B, TLS"
TLS_SENDER = "storescu, TLS"
POLICIES = ("spool", "published")

Films = Mapping[float, Sequence[SyntheticFilm]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of the matrix: what is sent, how, to whom, onto what."""

    size_mb: float
    associations: int
    storage: str  # disk or tmpfs
    receivers: Sequence[Receiver]
    sender: str = "dcmsend"
    bare: bool = False
    part: int = 1  # so much of the images suffices

    def make_sender(self) -> Sender:
        """Give its sender."""
        command = STORESCU_TLS if self.sender == TLS_SENDER else DCMSEND
        environment = AS_INSTALLED if self.sender == "dcmsend, Nagle on" else ENVIRONMENT
        return Sender(command, self.associations, environment)


class Bench:
    """Holds what every turn needs."""

    def __init__(self, site: Site, films: Films, folders: Mapping[str, Path]) -> None:
        self._site = site
        self._films = films
        self._folders = folders
        self._environment = {**plain_environment(), **site.environment}
        self._servers = [pid for _, pid, _ in Supervisor(site).states().values() if pid]

    def measure(self, cell: Cell, rounds: int) -> dict[str, object]:
        """Let the receivers of a cell take turns; give the cell's figures."""
        turns: dict[str, list[Turn]] = {one.name: [] for one in cell.receivers}
        bare: list[BareTurn] = []
        for _ in range(rounds):
            for receiver in cell.receivers:
                turns[receiver.name].append(self._turn(cell, receiver))
            if cell.bare:
                bare.append(self._bare(cell.size_mb))
        reference = REFERENCE_TLS if cell.sender == TLS_SENDER else REFERENCE
        against = [one.sent.images_per_second for one in turns[reference]]
        found = {name: figures(these, against) for name, these in turns.items()}
        if bare:
            found[BARE] = {name: median([getattr(one, name) for one in bare]) for name in BareTurn.__slots__}
        rates_of = {name: [one.sent.images_per_second for one in these] for name, these in turns.items()}
        for name, rates in rates_of.items():
            if bare and name.startswith(PUBLISHED):
                found[name]["ratio_to_bare"] = ratio(rates, [one.images_per_second for one in bare])
            if name.startswith(SPOOL) and BARE_RECEIVER in rates_of:
                found[name]["ratio_to_bare_receiver"] = ratio(rates, rates_of[BARE_RECEIVER])
        print(_line(cell, found), flush=True)
        return {
            "size_mb": cell.size_mb,
            "associations": cell.associations,
            "storage": cell.storage,
            "sender": cell.sender,
            "images": len(self._films[cell.size_mb]) // cell.part,
            "receivers": found,
        }

    def _turn(self, cell: Cell, receiver: Receiver) -> Turn:
        films = self._films[cell.size_mb]
        part = max(cell.part, SLOW_PART if receiver.slow else 1)
        films = films[: max(cell.associations, len(films) // part)]
        sender = cell.make_sender()
        with receiver.running(self._folders[cell.storage]) as at:
            self._send(sender, self._films[0.5][:WARM_UP], at)
            before, servers = cpu_ms(at.pid), self._servers_cpu_ms()
            children = _children_cpu_ms()
            with Peak(at.pid) as peak:
                sent = self._send(sender, films, at)
            children = _children_cpu_ms() - children
            memory = (peak.mb, pss_mb(at.pid))
            turn = Turn(sent, cpu_ms(at.pid) - before, self._servers_cpu_ms() - servers, *memory, children)
        self._forget_objects()
        return turn

    def _send(self, sender: Sender, films: Sequence[SyntheticFilm], at: Running) -> Sent:
        for film in films:
            film.renew()
        return sender.send([film.path for film in films], at.port)

    def _servers_cpu_ms(self) -> float:
        return sum(cpu_ms(pid) for pid in self._servers)

    def _bare(self, size_mb: float) -> "BareTurn":
        script = str(Path(__file__).with_name("_bare.py"))
        paths = [str(film.path) for film in self._films[size_mb]]
        servers = self._servers_cpu_ms()
        done = subprocess.run(
            [sys.executable, script],
            env=self._environment,
            input="\n".join(paths),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout)
        images = int(found["images"])
        turn = BareTurn(
            images_per_second=images / found["seconds"],
            cpu_ms_an_image=1000 * found["cpu_seconds"] / images,
            servers_cpu_ms_an_image=(self._servers_cpu_ms() - servers) / images,
        )
        self._forget_objects()
        return turn

    def _forget_objects(self) -> None:
        """Give the disk back: nobody reads them."""
        shutil.rmtree(self._site.state_dir / "objects" / "radstream" / "instances", ignore_errors=True)


def _children_cpu_ms() -> float:
    """Give what ended children have used: the senders, which are waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (used.ru_utime + used.ru_stime)


def _line(cell: Cell, found: Mapping[str, Mapping[str, object]]) -> str:
    head = f"{cell.size_mb:g} MB, {cell.associations} associations, {cell.storage}, {cell.sender}: "
    return head + "; ".join(f"{name} {one['images_per_second']}" for name, one in found.items())


def matrix(environment: Mapping[str, str], folder: Path, *, quick: bool) -> tuple[list[Cell], list[Receiver]]:
    """Give the cells, and every receiver that stands in one."""
    first = [ours(policy, environment) for policy in POLICIES]
    first += [storescp(name=REFERENCE), storescp("--fork", name="storescp +B --fork")]
    apart = [orthanc(), pynetdicom_app()] if shutil.which("Orthanc") else [pynetdicom_app()]
    apart += [bare_receiver(BARE_RECEIVER), bare_receiver(BARE_RECEIVER_NO_HASH, "--no-hash")]
    second = [ours(policy, environment, processes=1) for policy in POLICIES]
    if quick:
        all_quick = [*first, *second, *apart]
        return [Cell(size, 4, "disk", all_quick, bare=True) for size in (0.5, 10.0)], all_quick
    flags = certificate(folder)
    secured = {**environment, **flags.ours}
    secure = [ours(policy, secured, processes=count, tls=True) for count in (1, 2) for policy in POLICIES]
    secure.append(storescp(*flags.storescp, name=REFERENCE_TLS, tls=True))
    cells = [Cell(size, 4, "disk", [*first, *second, *apart], bare=True) for size in IMAGES]
    cells += [Cell(size, count, "disk", first) for count in (1, 16) for size in IMAGES]
    cells += [Cell(size, 4, "tmpfs", first) for size in IMAGES]
    cells += [Cell(size, 4, "disk", secure, sender=TLS_SENDER) for size in IMAGES]
    cells.append(Cell(0.5, 4, "disk", first, sender="dcmsend, Nagle on", part=SLOW_PART))
    return cells, [*first, *second, *apart, *secure]


def measure(*, quick: bool, rounds: int) -> dict[str, object]:
    """Measure the matrix and the backlog."""
    load_before = round(os.getloadavg()[0], 2)
    with (
        tempfile.TemporaryDirectory(prefix="rs-films-", dir=MEMORY) as memory,
        tempfile.TemporaryDirectory(prefix="rs-store-") as disk,
        running(SERVERS) as (site, _),
    ):
        sizes = [size for size in IMAGES if not quick or size < 50]
        films = {size: make_films(Path(memory) / f"{size:g}", size, IMAGES[size]) for size in sizes}
        folders = {"disk": Path(disk) / "store", "tmpfs": Path(memory) / "store"}
        environment = {**plain_environment(), **site.environment}
        cells, receivers = matrix(environment, Path(disk), quick=quick)
        bench = Bench(site, films, folders)
        found = [bench.measure(cell, rounds) for cell in cells]
        backlog = [
            measure_backlog(site, films[size], folders["disk"], rounds, size)
            for size in ((0.5,) if quick else (0.5, 10.0))
        ]
    return {
        "matrix": "quick" if quick else "full",
        "rounds": rounds,
        "load_before": load_before,
        "sender": {"command": " ".join(DCMSEND), "command_tls": " ".join(STORESCU_TLS), "environment": ENVIRONMENT},
        "receivers": {one.name: one.described() for one in receivers},
        "cells": found,
        "backlog": backlog,
        "bars": bars(found, backlog),
        "of_physics": of_physics(found),
    }


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="4 associations, disk, 0.5 and 10 MB")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    write("listener", measure(quick=given.quick, rounds=given.rounds))


if __name__ == "__main__":
    main()
