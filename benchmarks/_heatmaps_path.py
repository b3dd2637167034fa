"""What heat maps cost in the whole path, as a service runs it: fetch, decode, forward, map, transaction.

Radiographs of Kermany et al. 2018, 224 pixels a side, wrapped as DX: the smallest films that anybody sends, so that a
map's share is the largest. One inference process a turn, with maps of positives (the default) and without, round by
round; the CPU of an image is that of the process, its decoders and the servers.
"""

import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

from _claims import claim
from _consumer import Publisher, Results, inference
from _record import REAL, plain_environment
from inference import Turn, ours, turn

from consumers.decoding.claim_check import data_set_at
from consumers.imaging.part10 import transfer_syntax_of
from consumers.imaging.wrap import as_part10
from consumers.packages.package import load_package
from radstream.objects.stores import s3_objects
from radstream.settings import Settings
from radstream.stack.site import Site
from radstream.stack.supervision import Supervisor
from schemas.identity import data_set_hasher, object_key
from schemas.instance_received import InstanceReceived
from tests.publishing import skip_to_the_end

IMAGES = 600
WARM_UP = 40
FILES = 20
#: Of how many images one is of a film that was found positive: a ward's share, a half, all.
ONE_IN = {"20 % positive": 5, "50 % positive": 2, "all positive": 1}
#: Films that the shipped model calls negative and positive, nearly all.
FOLDERS = ("NORMAL", "PNEUMONIA")


def store_pictures(settings: Settings, folder: Path) -> list[InstanceReceived]:
    """Put some films into the object store; give their events."""
    objects, events = s3_objects(settings), []
    for file in sorted(folder.iterdir())[:FILES]:
        whole = bytes(as_part10(file.read_bytes()))
        syntax = transfer_syntax_of(whole)[0]
        hasher = data_set_hasher(syntax)
        hasher.update(whole[data_set_at(whole) :])
        objects.put(object_key(hasher.hexdigest()), BytesIO(whole), len(whole))
        events.append(claim(settings.s3_bucket, hasher.hexdigest(), len(whole), syntax))
    return events


def in_the_path(site: Site, settings: Settings, model: Path, rounds: int) -> Mapping[str, object]:
    """Let maps and no maps take turns at each share of positives; an absent corpus is said."""
    if not REAL.is_dir():
        return {"missing": "the radiographs of Kermany et al. 2018"}
    negative, positive = (store_pictures(settings, REAL / name) for name in FOLDERS)
    servers = [pid for _, pid, _ in Supervisor(site).states().values() if pid]
    name = load_package(model).manifest.name
    publisher, results = Publisher(settings), Results(settings)
    found: dict[str, object] = {}
    for share, one_in in ONE_IN.items():
        events = [
            (negative if number % one_in else positive)[number // one_in % FILES] for number in range(FILES * one_in)
        ]
        turns: dict[str, list[Turn]] = {"none": [], "positives": []}
        made = 0.0
        for _ in range(rounds):
            for which, these in turns.items():
                skip_to_the_end(settings, name)
                environment = plain_environment() | site.environment
                with inference(
                    environment | {"RADSTREAM_HEATMAPS": which, "RADSTREAM_MODEL_DIR": str(model)}
                ) as process:
                    ours(publisher, results, events, WARM_UP)
                    run = partial(ours, publisher, results, events, IMAGES)
                    these.append(turn(run, IMAGES, [process.popen.pid], servers))
                    made = process.meter("radstream_heatmaps_stored_total")
        found[share] = _compared(turns["positives"], turns["none"]) | {
            "maps_an_image": round(made / (IMAGES + WARM_UP), 3)
        }
        print(f"{share}: {found[share]}", flush=True)
    results.close()
    return found


def _compared(maps: Sequence[Turn], none: Sequence[Turn]) -> dict[str, object]:
    rates = [one.per_second / other.per_second for one, other in zip(maps, none, strict=True)]
    cpu = [
        (other.cpu_ms + other.servers_cpu_ms) / (one.cpu_ms + one.servers_cpu_ms)
        for one, other in zip(maps, none, strict=True)
    ]
    return {
        "ratio": round(statistics.median(rates), 3),
        "ratios": [round(one, 3) for one in rates],
        "ratio_by_cpu": round(statistics.median(cpu), 3),
        "per_second_without": round(statistics.median(one.per_second for one in none), 1),
    }
