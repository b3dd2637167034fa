"""The prediction door beside the same work without it, and STAT from the log beside a flood at the door.

`python benchmarks/predict_door.py [--rounds N] [--seconds S] [--quick]` writes benchmarks/results/predict_door.json.

Three cases take turns on the same cores: `door`: 8 clients ask the running service, an image each, on kept connections;
`pooled`: the same decoders and the same `Forward` in this process, 8 images in flight, no HTTP; `sequential`: decode
and forward in one thread, nothing else. The clients' own work counts against the door. A ratio is the median of the
rounds' ratios.
"""

import argparse
import http.client
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from _films import make_films
from _record import SERVERS, percentiles, real_films, running, write
from numpy.typing import NDArray
from throughput import results

from consumers.decoding.decoders import Decoders, Fetched
from consumers.imaging.prepare import prepare
from consumers.inference.batches import BatchLimits
from consumers.inference.forward import Forward
from consumers.inference.futures import followed
from consumers.models.loaded import LoadedModel, load_model
from consumers.packages.package import load_package
from radstream.commands.send_files import film_of
from radstream.commands.send_scu import Pace, Peer, send_films
from radstream.objects.stores import MemoryObjects
from radstream.settings import Settings
from schemas.errors import NotEvaluable
from schemas.words import Lane

CLIENTS = 8
LARGE_MB = 10.0
STAT_IMAGES, STAT_PER_SECOND = 40, 5.0
GIVE_UP_SECONDS = 60.0

Case = Callable[[Sequence[bytes], float], float]


def door(port: int, *, query: str = "") -> Case:
    """Ask the service; give images a second."""

    def run(images: Sequence[bytes], seconds: float) -> float:
        counts, over = [0] * CLIENTS, time.monotonic() + seconds

        def ask(number: int) -> None:
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP_SECONDS)
            while time.monotonic() < over:
                content = images[(number + counts[number]) % len(images)]
                client.request("POST", f"/v1/predict{query}", content, {"Content-Type": "application/dicom"})
                response = client.getresponse()
                response.read()
                if response.status != http.HTTPStatus.OK:
                    raise SystemExit(f"the door answered {response.status}")
                counts[number] += 1
            client.close()

        began = time.monotonic()
        clients = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
        return sum(counts) / (time.monotonic() - began)

    return run


def tensor_of(fetched: Fetched) -> NDArray[np.float32]:
    """Give the one image of a file that can be decoded."""
    assert not isinstance(fetched.images, NotEvaluable)  # noqa: S101 - for the type checker: the films are our own
    return fetched.images[0].tensor


def pooled(decoders: Decoders, forward: Forward, model: LoadedModel) -> Case:
    """Do the same without HTTP, as many images in flight as there are clients."""

    def run(images: Sequence[bytes], seconds: float) -> float:
        places, count = threading.Semaphore(CLIENTS), 0
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            places.acquire()
            fetched = decoders.submit_bytes(Lane.ROUTINE, images[count % len(images)], [model.spec], GIVE_UP_SECONDS)
            answer = followed(fetched, lambda one: forward.submit(Lane.ROUTINE, model, tensor_of(one)))
            answer.add_done_callback(lambda _done: places.release())
            count += 1
        for _ in range(CLIENTS):
            places.acquire()
        return count / (time.monotonic() - began)

    return run


def sequential(model: LoadedModel) -> Case:
    """Decode and forward, one image after the other."""

    def run(images: Sequence[bytes], seconds: float) -> float:
        began, count = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            model.engine.infer(prepare(images[count % len(images)], model.spec).tensor[None])
            count += 1
        return count / (time.monotonic() - began)

    return run


def compared(cases: dict[str, Case], images: Sequence[bytes], rounds: int, seconds: float) -> dict[str, object]:
    """Run the cases in turns; give medians and the medians of the rounds' ratios."""
    for case in cases.values():
        case(images, 0.5)
    rates = [{name: case(images, seconds) for name, case in cases.items()} for _ in range(rounds)]
    median = {name: round(statistics.median(one[name] for one in rates), 1) for name in cases}
    ratio = {
        f"door_to_{name}": round(statistics.median(one["door"] / one[name] for one in rates), 3)
        for name in cases
        if name != "door"
    }
    return {"images_per_second": median, **ratio}


@contextmanager
def flood(port: int, images: Sequence[bytes], query: str) -> Iterator[None]:
    """Ask without a pause while the block runs."""
    over = threading.Event()

    def ask() -> None:
        run = door(port, query=query)
        while not over.is_set():
            run(images, 0.5)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def stat(settings: Settings, folder: Path) -> dict[str, float]:
    """Send STAT images by C-STORE at a steady pace; give their latency from receipt to result (ms)."""
    films = [film for one in make_films(folder, 0.5, STAT_IMAGES) if (film := film_of(one.path, folder))]
    peer = Peer(host="127.0.0.1", port=settings.dicom_port, called_ae="RADSTREAM_STAT", calling_ae="BENCH")
    before = {one.result_id for one in results(settings)}
    list(send_films(films, peer, Pace(images_per_second=STAT_PER_SECOND)))
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while len(found := [one for one in results(settings) if one.result_id not in before]) < STAT_IMAGES:
        if time.monotonic() > deadline:
            raise SystemExit(f"{len(found)} of {STAT_IMAGES} STAT results")
        time.sleep(0.5)
    return percentiles([1000 * (one.completed_at - one.received_at).total_seconds() for one in found])


def measure(rounds: int, seconds: float) -> dict[str, object]:
    """Measure throughput for two kinds of films, then STAT with and without a flood."""
    with (
        tempfile.TemporaryDirectory(prefix="rs-bench-") as name,
        running((*SERVERS, "dicom_listener", "inference")) as (_, settings),
    ):
        folder = Path(name)
        small, what = real_films(40, folder)
        kinds = {
            what: [film.part10.read_bytes() for film in small],
            f"{LARGE_MB:.0f} MB, uncompressed": [one.path.read_bytes() for one in make_films(folder, LARGE_MB, 4)],
        }
        model = load_model(load_package(settings.model_dir), settings.engine)
        decoders, forward = Decoders(MemoryObjects(), settings.decode_workers, GIVE_UP_SECONDS), Forward(BatchLimits())
        decoders.wait_ready()
        cases = {
            "door": door(settings.predict_port),
            "pooled": pooled(decoders, forward, model),
            "sequential": sequential(model),
        }
        found = {kind: compared(cases, images, rounds, seconds) for kind, images in kinds.items()}
        decoders.close()
        forward.close()
        beside: dict[str, object] = {"alone": stat(settings, folder / "alone")}
        for lane in Lane:
            with flood(settings.predict_port, kinds[what], f"?lane={lane}"):
                beside[f"flood, lane {lane}"] = stat(settings, folder / lane)
    return {"clients": CLIENTS, "throughput": found, "stat_latency_ms": beside}


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1.5 seconds")
    given = parser.parse_args()
    write("predict_door", measure(*((2, 1.5) if given.quick else (given.rounds, given.seconds))))


if __name__ == "__main__":
    main()
