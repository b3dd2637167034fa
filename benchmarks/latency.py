"""End to end at a steady rate: from the listener's publish to a read_committed reader of the result.

`python benchmarks/latency.py [--images N] [--rate PER_S]` writes benchmarks/results/latency.json. Overhead is what is
left of the way beside fetch, decode and forward, as the result's own `stage_ms` has them. The floor is a bare
publish-and-transaction loop at the same rate in the same seconds (benchmarks/_floor.py). The sender and the readers
share the machine with the system.
"""

import argparse
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from _floor import Floor
from _record import percentiles, real_films, running, write
from confluent_kafka import TopicPartition

from radstream.broker import kafka
from radstream.broker.topic_reader import read_to_end
from radstream.commands.send_scu import Pace, Peer, send_films
from radstream.registry import RegistryIds
from radstream.settings import Settings
from schemas.codec import Codec
from schemas.inference_completed import InferenceCompleted
from schemas.topics import COMPLETED, RECEIVED_ROUTINE, STUDY_PARTITIONS

WARM_UP = 20  # images that are not counted: engines, caches and connections come alive
SETTLE_SECONDS = 60.0
WORK = ("fetch", "decode", "forward")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A result and when a reader had it (Unix seconds)."""

    result: InferenceCompleted
    at: float


class Arrivals:
    """Reads committed results as they come and notes the time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seen: dict[UUID, Arrival] = {}

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        codec = Codec(RegistryIds(self._settings.schema_registry_url))
        with closing(kafka.reader(self._settings, enable_partition_eof=False)) as client:
            client.assign([TopicPartition(COMPLETED, number, 0) for number in range(STUDY_PARTITIONS)])
            while not self._stop.is_set():
                one = client.poll(0.2)
                if one is not None and not one.error():
                    at = time.time()
                    result = codec.decode(one.value())
                    self.seen[result.event_id] = Arrival(result, at)


def measure(images: int, rate: float) -> dict[str, object]:
    """Send, read, and take apart."""
    with tempfile.TemporaryDirectory(prefix="rs-bench-") as name, running() as (_, settings):
        films, what = real_films(images + WARM_UP, Path(name))
        arrivals, floor = Arrivals(settings), Floor(settings, rate)
        arrivals.start()
        peer = Peer(host="127.0.0.1", port=settings.dicom_port, called_ae=settings.ae_title, calling_ae="BENCH")
        warm, counted = films[:WARM_UP], films[WARM_UP:]
        list(send_films(warm, peer, Pace(images_per_second=rate)))
        floor.start()
        answers = list(send_films(counted, peer, Pace(images_per_second=rate)))
        deadline = time.monotonic() + SETTLE_SECONDS
        while len(arrivals.seen) < len(films) and time.monotonic() < deadline:
            time.sleep(0.2)
        floor.stop()
        arrivals.stop()
        published = _published(settings)
    late = sorted(arrivals.seen.values(), key=lambda one: one.result.received_at)[WARM_UP:]
    return _figures(late, published, floor.round_trips_ms, [one.ack_ms for one in answers if one.ack_ms]) | {
        "images": what,
        "rate_per_second": rate,
        "sent": len(counted),
        "results": len(late),
    }


def _published(settings: Settings) -> dict[UUID, float]:
    """Read when each event was published, by the log's own clock (Unix seconds)."""
    codec = Codec(RegistryIds(settings.schema_registry_url))
    return {
        codec.decode(one.value).event_id: one.timestamp.timestamp() for one in read_to_end(settings, RECEIVED_ROUTINE)
    }


def _figures(
    late: list[Arrival], published: dict[UUID, float], floor: list[float], acks: list[float]
) -> dict[str, object]:
    whole = [1000 * (one.at - published[one.result.event_id]) for one in late]
    work = [sum(one.result.stage_ms.get(stage, 0.0) for stage in WORK) for one in late]
    overhead = percentiles([all_of - part for all_of, part in zip(whole, work, strict=True)])
    bare = percentiles(floor)
    stages = sorted({stage for one in late for stage in one.result.stage_ms})
    bar = 1.5 * bare["p99"] + 20
    return {
        "publish_to_reader_ms": percentiles(whole),
        "overhead_ms": overhead,
        "floor_ms": bare,
        "stage_ms": {name: percentiles([one.result.stage_ms.get(name, 0.0) for one in late]) for name in stages},
        "c_store_ms": percentiles(acks),
        "bars": {
            "overhead_p50_ms": 35,
            "overhead_p99_ms": round(bar, 1),
            "met": overhead["p50"] < 35 and overhead["p99"] <= bar,
        },
    }


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rate", type=float, default=5.0)
    given = parser.parse_args()
    write("latency", measure(given.images, given.rate))


if __name__ == "__main__":
    main()
