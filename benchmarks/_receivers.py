"""Whom the listener is measured against, each started afresh for a run and killed after it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from radstream.settings import process_environment
from radstream.stack.probes import health

READY_SECONDS = 60.0
POLL_SECONDS = 0.02
SETTLED_SECONDS = 0.5
PDU_BYTES = "131072"
AE_TITLE = "RADSTREAM"


@dataclass(frozen=True, slots=True)
class Place:
    """What a receiver gets for one run: a folder to store in, and ports."""

    folder: Path
    port: int
    other_port: int


@dataclass(frozen=True, slots=True)
class Running:
    """A receiver that takes associations."""

    pid: int
    port: int
    other_port: int  # ours: metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """A program that receives images."""

    name: str
    command: Callable[[Place], list[str]]
    version: str
    environment: Mapping[str, str] = field(default_factory=dict)
    ours: bool = False
    tls: bool = False
    slow: bool = False  # far below the others: fewer images suffice
    spool: Path | None = None  # ours only: a spool that outlives the run

    @contextmanager
    def running(self, folder: Path) -> Iterator[Running]:
        """Start it over an empty folder, wait until it takes connections and is calm; kill it, empty the folder."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        place = Place(folder, free_port(), free_port())
        with (folder.parent / f"{folder.name}.log").open("wb") as log:
            process = subprocess.Popen(
                self.command(place),
                env={**process_environment(), **self.environment, **(self._own(place) if self.ours else {})},
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            self._await(process, place)
            _settle(self.spool or folder)
            yield Running(process.pid, place.port, place.other_port)
        finally:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)

    def described(self) -> dict[str, object]:
        """Say what ran, for the record."""
        place = Place(Path("FOLDER"), 0, 0)
        words = [Path(word).name if word.startswith("/") else word for word in self.command(place)]
        settings = {name: value for name, value in self.environment.items() if name in PUBLIC}
        return {
            "version": self.version,
            "command": " ".join("PORT" if word == "0" else word for word in words),
            "environment": settings,
        }

    def _own(self, place: Place) -> dict[str, str]:
        ports = (place.port, free_port()) if not self.tls else (free_port(), place.port)
        return {
            "RADSTREAM_DICOM_PORT": str(ports[0]),
            "RADSTREAM_DICOM_TLS_PORT": str(ports[1]),
            "RADSTREAM_METRICS_PORT": str(place.other_port),
            "RADSTREAM_STOW_PORT": str(free_port()),
            "RADSTREAM_SPOOL_DIR": str(self.spool or place.folder / "spool"),
            "RADSTREAM_LISTENER_SLOT": "bench",
        }

    def _await(self, process: "subprocess.Popen[bytes]", place: Place) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not (not health(place.other_port) if self.ours else _listens(place.port)):
            if process.poll() is not None or time.monotonic() > deadline:
                log = (place.folder.parent / f"{place.folder.name}.log").read_text(errors="replace")
                raise RuntimeError(f"{self.name} does not listen (exit status {process.poll()}):\n{log[-2000:]}")
            time.sleep(POLL_SECONDS)


#: What of a receiver's environment is its flags, and neither an address nor a secret.
PUBLIC = frozenset({"RADSTREAM_ACK_POLICY", "RADSTREAM_LISTENER_PROCESSES", "TCP_NODELAY"})


def ours(
    policy: str, environment: Mapping[str, str], *, processes: int = 2, tls: bool = False, spool: Path | None = None
) -> Receiver:
    """Give our listener under a policy, with so many workers (two are its default); `environment` has the servers."""
    many = ", 1 process" if processes == 1 else ""
    own = {"RADSTREAM_ACK_POLICY": policy, "RADSTREAM_LISTENER_PROCESSES": str(processes)}
    return Receiver(
        name=f"RadStream, {policy}{many}{', TLS' if tls else ''}",
        command=lambda _: [sys.executable, "-m", "dicom_listener"],
        version=metadata.version("radstream"),
        environment={**environment, **own},
        ours=True,
        tls=tls,
        spool=spool,
    )


def storescp(*more: str, name: str, tls: bool = False) -> Receiver:
    """Give DCMTK's storescp: bit-preserving, large PDUs; no fsync, no hash."""
    words = ["storescp", "+B", "--max-pdu", PDU_BYTES, *more]
    return Receiver(
        name=name,
        command=lambda place: [*words, "--output-directory", str(place.folder), str(place.port)],
        version=_first_line(["storescp", "--version"]),
        environment={"TCP_NODELAY": "1"},
        tls=tls,
    )


def orthanc() -> Receiver:
    """Give Orthanc with its default index (SQLite), without its HTTP server."""

    def command(place: Place) -> list[str]:
        config = {
            "Name": "bench",
            "StorageDirectory": str(place.folder),
            "IndexDirectory": str(place.folder),
            "DicomAet": AE_TITLE,
            "DicomPort": place.port,
            "HttpServerEnabled": False,
            "MaximumPduLength": int(PDU_BYTES),
            "Plugins": [],
        }
        if place.folder.is_dir():
            (place.folder / "orthanc.json").write_text(json.dumps(config))
        return ["Orthanc", "--logfile=/dev/null", str(place.folder / "orthanc.json")]

    return Receiver(name="Orthanc", command=command, version=_first_line(["Orthanc", "--version"]))


def pynetdicom_app() -> Receiver:
    """Give pynetdicom's own storescp application."""
    words = [sys.executable, "-m", "pynetdicom", "storescp", "--quiet", "--max-pdu", PDU_BYTES]
    return Receiver(
        name="pynetdicom storescp",
        command=lambda place: [*words, "--output-directory", str(place.folder), str(place.port)],
        version=metadata.version("pynetdicom"),
        slow=True,
    )


def bare_receiver(name: str, *more: str) -> Receiver:
    """Give a loop on a plain socket that receives, hashes and writes, a process for each association."""
    script = str(Path(__file__).with_name("_bare_receiver.py"))
    return Receiver(
        name=name,
        command=lambda place: [sys.executable, script, str(place.folder), str(place.port), *more],
        version=metadata.version("radstream"),
    )


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


def _settle(folder: Path) -> None:
    """Wait until a folder's files stand still: a new spool makes its segments once, in its first seconds."""
    deadline = time.monotonic() + READY_SECONDS
    calm_since, before = time.monotonic(), -1
    while time.monotonic() < min(deadline, calm_since + SETTLED_SECONDS):
        found = sum(map(_blocks, folder.rglob("*")))
        if found != before:
            calm_since, before = time.monotonic(), found
        time.sleep(POLL_SECONDS)


def _blocks(path: Path) -> int:
    with suppress(FileNotFoundError):  # gone meanwhile
        return path.stat().st_blocks
    return 0


def _first_line(command: list[str]) -> str:
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return found.strip().splitlines()[0].strip("$ ")
