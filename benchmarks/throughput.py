"""A thousand real images end to end, as fast as they are taken.

`python benchmarks/throughput.py [--images N]` writes benchmarks/results/throughput.json: images a second from the first
byte sent to the last result in the log, and the share of all cores' time in which the model computed. The sender shares
the machine with the system.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from _record import real_films, running, write

from radstream.broker.topic_reader import read_to_end
from radstream.commands.send_scu import SUCCESS, Pace, Peer, send_films
from radstream.registry import RegistryIds
from radstream.settings import Settings
from schemas.codec import Codec
from schemas.inference_completed import InferenceCompleted
from schemas.topics import COMPLETED

ASSOCIATIONS = 4
WARM_UP = 20
GIVE_UP_SECONDS = 600.0


def results(settings: Settings) -> list[InferenceCompleted]:
    """Read all results of the log."""
    codec = Codec(RegistryIds(settings.schema_registry_url))
    return [codec.decode(one.value) for one in read_to_end(settings, COMPLETED)]


def wait_for(count: int, settings: Settings) -> list[InferenceCompleted]:
    """Wait for so many results. Looks rarely: reading the log costs the system's own time."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while len(found := results(settings)) < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{len(found)} of {count} results after {GIVE_UP_SECONDS:.0f} s")
        time.sleep(1.0)
    return found


def measure(images: int) -> dict[str, object]:
    """Send all, wait for all."""
    with tempfile.TemporaryDirectory(prefix="rs-bench-") as name, running() as (_, settings):
        films, what = real_films(images + WARM_UP, Path(name))
        peer = Peer(host="127.0.0.1", port=settings.dicom_port, called_ae=settings.ae_title, calling_ae="BENCH")
        list(send_films(films[:WARM_UP], peer, Pace()))
        warm = {one.result_id for one in wait_for(WARM_UP, settings)}
        began = time.time()
        answers = list(send_films(films[WARM_UP:], peer, Pace(associations=ASSOCIATIONS)))
        acknowledged = time.time()
        found = [one for one in wait_for(len(films), settings) if one.result_id not in warm]
    seconds = max(one.completed_at.timestamp() for one in found) - began
    # The images of one batch carry one and the same forward time.
    batches = {(one.lane, one.stage_ms["forward"]) for one in found if "forward" in one.stage_ms}
    forward_s = sum(milliseconds for _, milliseconds in batches) / 1000
    return {
        "images": what,
        "sent": len(answers),
        "acknowledged": sum(one.status == SUCCESS for one in answers),
        "results": len(found),
        "evaluated": sum(one.outcome == "evaluated" for one in found),
        "seconds": round(seconds, 2),
        "images_per_second": round(len(found) / seconds, 1),
        "acknowledged_per_second": round(len(answers) / (acknowledged - began), 1),
        "forward_share": round(forward_s / seconds / (os.cpu_count() or 1), 3),
        "mean_batch": round(len(found) / len(batches), 2) if batches else None,
    }


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    write("throughput", measure(parser.parse_args().images))


if __name__ == "__main__":
    main()
