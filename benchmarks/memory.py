"""Memory of each process of ours: at rest after the start, and at rest after some images.

`python benchmarks/memory.py [--images N]` writes benchmarks/results/memory.json. PSS divides shared pages among their
users, RSS counts them for each; MB are 1024 x 1024 bytes. A component's workers stand beside its main process.
"""

import argparse
import re
import tempfile
import time
from pathlib import Path

from _record import SERVERS, SERVICES, real_films, running, write
from _weigh import tree

from radstream.commands.send_scu import Pace, Peer, send_films
from radstream.stack.site import Site
from radstream.stack.supervision import Supervisor

REST_SECONDS = 10.0
BAR_MB = 200


def weigh(site: Site) -> dict[str, list[dict[str, float]]]:
    """Give each component's processes, the main one first."""
    states = Supervisor(site).states()
    return {name: [process(pid) for pid in tree(states[name][1])] for name in (*SERVICES, "training")}


def process(pid: int) -> dict[str, float]:
    """Read PSS and RSS (MB) of one process."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = dict(re.findall(r"^(Pss|Rss):\s+(\d+)", text, flags=re.MULTILINE))
    return {f"{name.lower()}_mb": round(int(kib) / 1024, 1) for name, kib in found.items()}


def measure(images: int) -> dict[str, object]:
    """Start, rest, weigh, work, rest, weigh."""
    with (
        tempfile.TemporaryDirectory(prefix="rs-bench-") as name,
        running((*SERVERS, *SERVICES, "training")) as (site, settings),
    ):
        time.sleep(REST_SECONDS)
        at_rest = weigh(site)
        films, what = real_films(images, Path(name))
        peer = Peer(host="127.0.0.1", port=settings.dicom_port, called_ae=settings.ae_title, calling_ae="BENCH")
        list(send_films(films, peer, Pace(associations=2)))
        time.sleep(REST_SECONDS)
        after = weigh(site)
    largest = max(one["rss_mb"] for processes in at_rest.values() for one in processes)
    return {
        "images": what,
        "at_rest": at_rest,
        f"at_rest_after_{images}_images": after,
        "largest_process_rss_mb": largest,
        "bars": {"each_process_mb": BAR_MB, "met": largest < BAR_MB},
    }


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200)
    write("memory", measure(parser.parse_args().images))


if __name__ == "__main__":
    main()
