"""Whether the memory of the inference consumer stays flat over 20,000 images, and its peak.

`python benchmarks/inference_memory.py [--images N] [--quick]` writes benchmarks/results/inference_memory.json. The
shipped model with the shipped settings, heat maps of positives included. Each image is an instance and a study of its
own whose claim check points to one of some hundreds of objects: phantoms in nine transfer syntaxes, films of 10 MB in
ten, and a few that are damaged, in a random order with a seed. Every second PSS (shared pages divided among their
users) and RSS of each process are read. A line is fitted after the first fifth of the run and a thousand images, until
which every buffer has had its largest image; what it rises until the end is the growth. MB are 1024 x 1024 bytes.
"""

import argparse
import io
import random
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pydicom
from _claims import claim
from _consumer import Publisher, Results, inference
from _record import SERVERS, plain_environment, running, write
from _weigh import descriptors, own_pss_mb, own_rss_mb, threads, tree
from decode import CASES, MODEL, film, part10

from consumers.decoding.claim_check import data_set_at
from consumers.packages.package import load_package
from radstream.objects.stores import s3_objects
from radstream.phantoms.dicom import phantom
from radstream.settings import Settings
from schemas.identity import data_set_hasher, object_key
from schemas.instance_received import InstanceReceived
from tests.publishing import skip_to_the_end

PHANTOMS = 270
#: Of a hundred images so many are large or damaged.
LARGE, DAMAGED = 5, 1
WAITING = 400  # images in the log before the consumer (count)
SAMPLE_SECONDS = 1.0
PATIENCE_SECONDS = 900.0
WARM_UP_SHARE, WARM_UP_IMAGES = 0.2, 1000
POINTS = 150  # of the curve that the JSON keeps
#: What the memory (PSS) may grow over the run: the larger of these (MB, share of its median).
BOUND_MB, BOUND_SHARE = 16.0, 0.05


def store(settings: Settings, whole: bytes, syntax: str) -> InstanceReceived:
    """Put an object; give its event."""
    hasher = data_set_hasher(syntax)
    hasher.update(memoryview(whole)[data_set_at(whole) :])
    sha256 = hasher.hexdigest()
    s3_objects(settings).put(object_key(sha256), io.BytesIO(whole), len(whole))
    return claim(settings.s3_bucket, sha256, len(whole), syntax)


def store_phantoms(settings: Settings) -> list[InstanceReceived]:
    """Put small films in every syntax that phantoms come in."""
    events = []
    for number in range(PHANTOMS):
        data_set, file = phantom(1, number, datetime.now(UTC)), io.BytesIO()
        pydicom.dcmwrite(file, data_set, enforce_file_format=True)
        events.append(store(settings, file.getvalue(), str(data_set.file_meta.TransferSyntaxUID)))
    return events


def store_large(settings: Settings) -> tuple[list[InstanceReceived], list[InstanceReceived]]:
    """Put films of 10 MB (uncompressed) in each syntax, and each again with its pixels cut in half."""
    whole, halves = [], []
    for syntax, bits, encode in CASES.values():
        pixels = (film() >> 4).astype("uint8") if bits == 8 else film()
        content = part10(pixels, syntax, bits, encode)
        whole.append(store(settings, content, syntax))
        halves.append(store(settings, content[: len(content) // 2], syntax))
    return whole, halves


@dataclass(frozen=True, slots=True)
class Mix:
    """Events of the objects in the store."""

    small: Sequence[InstanceReceived]
    large: Sequence[InstanceReceived]
    damaged: Sequence[InstanceReceived]

    def draw(self, count: int) -> list[InstanceReceived]:
        """Draw so many events: mostly small, some large, few damaged."""
        choice = random.Random(1)  # noqa: S311 - no secret
        kinds = (self.small, self.large, self.damaged)
        drawn = choice.choices(kinds, (100 - LARGE - DAMAGED, LARGE, DAMAGED), k=count)
        return [choice.choice(kind) for kind in drawn]


def sample(pid: int, images: int, began: float) -> dict[str, float]:
    """Look once at each process; the first is the service, the others decode."""
    everyone = tree(pid)
    pss = [own_pss_mb(one) for one in everyone]
    return {
        "seconds": round(time.monotonic() - began, 1),
        "images": images,
        "pss_mb": round(sum(pss), 1),
        "service_pss_mb": round(pss[0], 1),
        "decoders_pss_mb": round(sum(pss[1:]), 1),
        "rss_mb": round(sum(map(own_rss_mb, everyone)), 1),
        "threads": threads(pid),
        "descriptors": descriptors(pid),
    }


@contextmanager
def sampled(pid: int, results: Results) -> Iterator[list[dict[str, float]]]:
    """Look every second while the block runs."""
    found: list[dict[str, float]] = []
    over, began = threading.Event(), time.monotonic()

    def look() -> None:
        while not over.wait(SAMPLE_SECONDS):
            found.append(sample(pid, len(results.seen), began))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def growth(samples: Sequence[Mapping[str, float]], name: str) -> float:
    """Give what the fitted line of a measure rises by, after the warm-up."""
    warm = max(WARM_UP_IMAGES, WARM_UP_SHARE * samples[-1]["images"])
    late = [one for one in samples if one["images"] >= warm]
    images = [one["images"] for one in late]
    slope = statistics.linear_regression(images, [one[name] for one in late]).slope
    return round(slope * (images[-1] - images[0]), 2)


def figures_of(samples: Sequence[Mapping[str, float]]) -> dict[str, object]:
    """Compare the first tenth with the last, and say whether the run was flat."""
    tenth = max(1, len(samples) // 10)
    bound = max(BOUND_MB, BOUND_SHARE * statistics.median(one["pss_mb"] for one in samples))
    grown = {
        name: growth(samples, name)
        for name in ("pss_mb", "service_pss_mb", "decoders_pss_mb", "rss_mb", "threads", "descriptors")
    }
    return {
        "first_tenth_mb": round(statistics.median(one["pss_mb"] for one in samples[:tenth]), 1),
        "last_tenth_mb": round(statistics.median(one["pss_mb"] for one in samples[-tenth:]), 1),
        "peak_pss_mb": max(one["pss_mb"] for one in samples),
        "peak_rss_mb": max(one["rss_mb"] for one in samples),
        "growth": grown,
        "bound_mb": round(bound, 1),
        "flat": grown["pss_mb"] <= bound,
        "samples": list(samples[:: max(1, len(samples) // POINTS)]),
    }


def measure(images: int) -> dict[str, object]:
    """Work off many images, never more than some hundreds waiting."""
    with running(SERVERS) as (site, settings):
        skip_to_the_end(settings, load_package(MODEL).manifest.name)
        events = Mix(store_phantoms(settings), *store_large(settings)).draw(images)
        publisher, results = Publisher(settings), Results(settings)
        environment = {**plain_environment(), **site.environment, "RADSTREAM_MODEL_DIR": str(MODEL)}
        with inference(environment) as process, sampled(process.popen.pid, results) as samples:
            began = time.monotonic()
            for sent in range(0, images, WAITING // 2):
                publisher.publish(events[sent : sent + WAITING // 2])
                results.wait(sent - WAITING // 2, PATIENCE_SECONDS)
            results.wait(images, PATIENCE_SECONDS)
            took = time.monotonic() - began
        results.close()
    return {"images": images, "images_per_second": round(images / took, 1), **figures_of(samples)}


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--quick", action="store_true", help="2,000 images")
    given = parser.parse_args()
    write("inference_memory", measure(2000 if given.quick else given.images))


if __name__ == "__main__":
    main()
