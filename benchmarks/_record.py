"""What every benchmark does beside measuring: a system of its own, real images, and a JSON that says where it was."""

import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from radstream.commands.send_files import Film, files_of, film_of
from radstream.commands.up import start_order
from radstream.phantoms.dicom import write_phantoms
from radstream.setting_reader import without_settings
from radstream.settings import Settings, process_environment
from radstream.stack.ports import free_offset
from radstream.stack.site import Site
from radstream.stack.startup import start, stop
from radstream.stack.tools import versions

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # the tests' builders are found by a benchmark that imports this before them
RESULTS = Path(__file__).parent / "results"
REAL = ROOT.parent / "shared" / "data" / "kermany"
FIRST_OFFSET = 20_000

SERVERS = ("kafka", "registry", "object_store", "postgres", "redis")
SERVICES = ("dicom_listener", "inference", "sink", "streams")
PACKAGES = ("confluent-kafka", "openvino", "onnxruntime", "pydicom", "pynetdicom", "faust-streaming")


def plain_environment() -> dict[str, str]:
    """Give the environment without any setting of ours."""
    return without_settings(process_environment())


@contextmanager
def running(components: Sequence[str] = SERVERS + SERVICES) -> Iterator[tuple[Site, Settings]]:
    """Start a system in a folder and at ports of its own; stop it and forget it."""
    with tempfile.TemporaryDirectory(prefix="rs-bench-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's user must get in
        own = {"RADSTREAM_STATE_DIR": folder, "RADSTREAM_PORT_OFFSET": str(free_offset(FIRST_OFFSET))}
        order = start_order(plain_environment() | own, components, wait=True)
        try:
            for _ in start(order):
                pass
            yield order.site, Settings.from_environment(order.site.environment)
        finally:
            stop(order.site)


def real_films(count: int, folder: Path) -> tuple[list[Film], str]:
    """Give films and what they are: real radiographs where they are at hand, else phantoms."""
    if REAL.is_dir():
        files = [file for file in files_of([REAL]) if file.suffix != ".csv"]
        chosen = files[:: max(1, len(files) // count)][:count]
        what = "radiographs of Kermany et al. 2018, 224 x 224, JPEG baseline wrapped as DX"
    else:
        chosen = write_phantoms(folder, count, seed=1, at=datetime.now(UTC))
        what = "RadStream phantoms in all syntaxes (no real radiographs at hand)"
    return [film for file in chosen if (film := film_of(file, folder))], what


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Give p50, p95 and p99 and how many there were."""
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 1), "p95": round(cuts[94], 1), "p99": round(cuts[98], 1), "n": len(values)}


def write(name: str, figures: Mapping[str, object]) -> None:
    """Write and print the figures with machine, date and versions."""
    found = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "processor": _processor(),
            "python": platform.python_version(),
            "load": round(os.getloadavg()[0], 2),  # others at work make every figure worse
        },
        "versions": {"radstream": metadata.version("radstream"), "kafka": versions()["KAFKA_VERSION"]}
        | {package: metadata.version(package) for package in PACKAGES},
        **figures,
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(found, indent=2) + "\n"
    (RESULTS / f"{name}.json").write_text(text)
    print(text)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
