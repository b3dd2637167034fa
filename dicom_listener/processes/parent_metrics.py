"""/metrics of the whole listener: the parent's own numbers and those of all its workers, living and dead."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from dicom_listener.processes.limits import Slots
from dicom_listener.processes.workers import Workers
from radstream.settings import Settings

REFUSED_CONNECTIONS = Counter(
    "radstream_listener_refused_connections_total", "Connections that were closed at once, by cause.", ["cause"]
)
RESTARTS = Counter("radstream_listener_worker_ends_total", "Workers that ended by themselves.")


def folder_of(settings: Settings) -> Path:
    """Give the folder where workers keep their numbers."""
    return settings.state_dir / "metrics" / f"dicom_listener.{settings.listener_slot}"


def clean(folder: Path) -> None:
    """Begin anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def exposition(settings: Settings) -> bytes:
    """Give the text of /metrics."""
    workers = CollectorRegistry()
    MultiProcessCollector(workers, path=str(folder_of(settings)))  # type: ignore[no-untyped-call]
    return generate_latest(REGISTRY) + generate_latest(workers)


def forget(folder: Path, pid: int) -> None:
    """Drop the gauges of a process that is gone."""
    with suppress(OSError):
        mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]


class ListenerCollector(Collector):
    """What the parent sees of its workers at the moment that it is asked."""

    def __init__(self, workers: Workers, slots: Slots) -> None:
        self._workers = workers
        self._slots = slots

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Measure."""
        yield GaugeMetricFamily(
            "radstream_listener_open_associations", "Associations that are open (count).", value=self._slots.open
        )
        memory = GaugeMetricFamily(
            "radstream_listener_worker_resident_bytes", "Memory of each worker (bytes).", labels=["worker"]
        )
        for worker in self._workers:
            if worker.process is not None:
                memory.add_metric([str(worker.number)], _resident_bytes(worker.process.pid))
        yield memory


def _resident_bytes(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
            if line.startswith("VmRSS:"):
                return 1024.0 * int(line.split()[1])
    return 0.0
