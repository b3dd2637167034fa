"""One streams worker on the real broker: results a second, time to recover its tables, memory.

`python benchmarks/windows.py [--results N]` starts Kafka and the registry in an empty folder and writes N committed
results of three sites and scanners, of the last minute (live) and then of the last hour (backlog). Each time it starts
a worker and waits until its windows hold them all. Then it kills the worker and starts another on the same tables.
Writes benchmarks/results/windows.json.
"""

import argparse
import random
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from _record import plain_environment, write

from radstream.commands.up import start_order
from radstream.settings import Settings
from radstream.stack.ports import free_offset
from radstream.stack.startup import start, stop
from schemas.inference_completed import InferenceCompleted
from tests.integration.streams import log
from tests.running import Service, until, unused_port
from tests.unit.streams.results import result

TRANSACTION = 50
WAIT_SECONDS = 300.0


def films(model: str, count: int, over_seconds: float) -> list[InferenceCompleted]:
    """Make results that were received over the last seconds."""
    chance = random.Random(count)  # noqa: S311 - no secret
    now = datetime.now(UTC)
    made = []
    for number in range(count):
        positive = chance.random()
        received_at = now - timedelta(seconds=chance.uniform(0, over_seconds))
        made.append(
            replace(
                result(received_at=received_at, site=f"site-{number % 3}", manufacturer=f"maker {number % 3}"),
                study_pseudonym=f"2.25.{chance.randrange(10**6)}",
                model=model,
                probabilities={"NORMAL": 1 - positive, "PNEUMONIA": positive},
                image_statistics={"mean": chance.gauss(120, 20), "standard_deviation": chance.gauss(50, 8)},
            )
        )
    return made


@contextmanager
def servers() -> Iterator[dict[str, str]]:
    """Run Kafka and the registry in an empty folder; give the environment of their clients."""
    folder = Path(tempfile.mkdtemp(prefix="rs-bench-"))
    plain = plain_environment()
    own = {"RADSTREAM_STATE_DIR": str(folder), "RADSTREAM_PORT_OFFSET": str(free_offset(20_000))}
    order = start_order(plain | own, ("kafka", "registry"))
    try:
        for _ in start(order):
            pass
        yield plain | dict(order.site.environment)
    finally:
        stop(order.site)
        shutil.rmtree(folder, ignore_errors=True)


def memory_mb(pid: int) -> float:
    """Give the resident set of a process (MB of 1024 x 1024 bytes)."""
    found = re.search(r"^VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), flags=re.MULTILINE)
    return round(int(found[1]) / 1024, 1) if found else 0.0


def counting(settings: Settings, worker: Service, model: str, made: list[InferenceCompleted]) -> dict[str, float]:
    """Write results, start the worker, and time it from its readiness until all are in the windows."""
    inference = log.Inference(settings)
    for first in range(0, len(made), TRANSACTION):
        inference.commit(made[first : first + TRANSACTION])
    worker.start()
    began = time.monotonic()
    until(lambda: log.counted(settings, model) >= len(made), WAIT_SECONDS, "not all were counted")
    seconds = time.monotonic() - began
    figures = {
        "results_per_second": round(len(made) / seconds),
        "memory_mb": memory_mb(worker.pid),
        "counted": log.counted(settings, model),
    }
    worker.stop()
    return figures


def measure(environment: dict[str, str], count: int) -> dict[str, object]:
    """Count live and late, kill, recover."""
    settings = Settings.from_environment(environment)
    worker = Service(
        "streams",
        environment | {"RADSTREAM_METRICS_PORT": str(unused_port()), "RADSTREAM_TICK_SECONDS": "1"},
        Path(environment["RADSTREAM_STATE_DIR"]) / "worker.log",
    )
    figures: dict[str, object] = {
        model: counting(settings, worker, model, films(model, count, over_seconds))
        for model, over_seconds in (("live", 60.0), ("backlog", 3600.0))
    }
    worker.start()
    worker.kill9()
    began = time.monotonic()
    worker.start()
    recovered_s = time.monotonic() - began
    worker.stop()
    return {"results": count, **figures, "restart_after_kill_s": round(recovered_s, 1)}


def main() -> None:
    """Measure and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=int, default=10_000)
    chosen = parser.parse_args()
    with servers() as environment:
        figures = measure(environment, chosen.results)
    write("windows", figures)


if __name__ == "__main__":
    main()
