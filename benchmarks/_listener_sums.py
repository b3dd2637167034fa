"""What the rounds of the listener's benchmark come to: medians, ratios of the same rounds, the issue's bars."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from _record import percentiles
from _senders import Sent

BARE = "bare insert, put, publish (no sender)"
BARE_RECEIVER, BARE_RECEIVER_NO_HASH = "bare receive loop", "bare receive loop, no hash"
REFERENCE = "storescp +B"
SPOOL, PUBLISHED = "RadStream, spool", "RadStream, published"
SPOOL_BY_ONE, PUBLISHED_BY_ONE = f"{SPOOL}, 1 process", f"{PUBLISHED}, 1 process"
BARS = {SPOOL: 1.0, PUBLISHED: 0.8}
BAR_BACKLOG = 0.8

Cells = Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one receiver did in one round."""

    sent: Sent
    cpu_ms: float
    servers_cpu_ms: float
    peak_rss_mb: float  # what processes share counts for each
    pss_mb: float  # after the last image, what they share divided among them
    senders_cpu_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BareTurn:
    """What the bare loop did in one round."""

    images_per_second: float
    cpu_ms_an_image: float
    servers_cpu_ms_an_image: float


def figures(turns: Sequence[Turn], reference: Sequence[float]) -> dict[str, object]:
    """Sum up a receiver's rounds."""
    rates = [one.sent.images_per_second for one in turns]
    return {
        "images_per_second": median(rates),
        "rounds": [round(rate, 2) for rate in rates],
        "ratio_to_storescp": ratio(rates, reference),
        "answer_ms": percentiles([ms for one in turns for ms in one.sent.answers_ms]),
        "cpu_ms_an_image": median([one.cpu_ms / len(one.sent.answers_ms) for one in turns]),
        "senders_cpu_ms_an_image": median([one.senders_cpu_ms / len(one.sent.answers_ms) for one in turns]),
        "servers_cpu_ms_an_image": median([one.servers_cpu_ms / len(one.sent.answers_ms) for one in turns]),
        "peak_rss_mb": median([one.peak_rss_mb for one in turns]),
        "pss_mb": median([one.pss_mb for one in turns]),
        "failed": sum(one.sent.failed for one in turns),
    }


def bars(cells: Cells, backlog: Cells) -> dict[str, object]:
    """Say which bars stand at 4 associations, 0.5 and 10 MB, on the disk."""
    found: dict[str, object] = {}
    for size, receivers in _main(cells).items():
        for name, words in ((SPOOL, "spool"), (SPOOL_BY_ONE, "spool, 1 process,")):
            found[f"{words} to storescp, {size} MB"] = [receivers[name]["ratio_to_storescp"], BARS[SPOOL]]
        for name, words in ((PUBLISHED, "published"), (PUBLISHED_BY_ONE, "published, 1 process,")):
            found[f"{words} to bare, {size} MB"] = [receivers[name]["ratio_to_bare"], BARS[PUBLISHED]]
    for one in backlog:
        found[f"spool with a backlog, {one['size_mb']} MB"] = [one["ratio"], BAR_BACKLOG]
    return found


def of_physics(cells: Cells) -> dict[str, float]:
    """Say in the same cells what a receiver reaches that only receives, hashes and writes, and how near ours is."""
    found: dict[str, float] = {}
    for size, receivers in _main(cells).items():
        for name in (BARE_RECEIVER, BARE_RECEIVER_NO_HASH):
            found[f"{name} to storescp, {size} MB"] = receivers[name]["ratio_to_storescp"]
        for name, words in ((SPOOL, "spool"), (SPOOL_BY_ONE, "spool, 1 process,")):
            found[f"{words} to {BARE_RECEIVER}, {size} MB"] = receivers[name]["ratio_to_bare_receiver"]
    return found


def median(values: Sequence[float]) -> float:
    """Give the median to two digits."""
    return round(statistics.median(values), 2)


def ratio(values: Sequence[float], reference: Sequence[float]) -> float:
    """Give the median of the rounds' ratios."""
    return median([one / other for one, other in zip(values, reference, strict=True)])


def _main(cells: Cells) -> dict[float, Mapping[str, Mapping[str, float]]]:
    found = {}
    for cell in cells:
        where = (cell["associations"], cell["storage"], cell["sender"])
        if where == (4, "disk", "dcmsend") and cell["size_mb"] in (0.5, 10.0):
            found[cell["size_mb"]] = cell["receivers"]
    return found  # type: ignore[return-value]
