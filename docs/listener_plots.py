"""The plots of the listener, from what its benchmarks wrote."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from drawing import TITLE, bar, curve, svg, text
from listener_figures import MAIN_CELLS, measured

_ROW = 22


def listener() -> str:
    """Draw images a second of each receiver at 4 associations on the disk, a panel for each size."""
    found = measured("listener")
    parts, top = [], 24
    parts.append(
        text(0, 14, "Images answered Success a second; 4 associations of dcmsend; median of interleaved rounds")
    )
    for cell in sorted((one for one in found["cells"] if _is_main(one)), key=lambda one: float(one["size_mb"])):
        drawn, top = _panel(cell, top)
        parts += drawn
    machine = found["machine"]
    where = (
        f"{machine['cores']} cores ({machine['processor']}), shared with senders and servers; "
        f"load before the run {found['load_before']}; {found['measured_at'][:10]}"
    )
    parts.append(text(0, top + 18, where, "small"))
    return svg(top + 26, parts, "How fast the listener answers beside other receivers")


def soak() -> str:
    """Draw memory and rate over the time of the soak."""
    found = measured("soak")
    samples: Sequence[Mapping[str, Any]] = found["samples"]
    minutes = [one["seconds"] / 60 for one in samples]
    rates = [0.0] + [
        (after["acknowledged"] - before["acknowledged"]) / (after["seconds"] - before["seconds"])
        for before, after in pairwise(samples)
    ]
    parts = [text(0, 14, f"The listener at full rate for {found['minutes']:g} minutes: {found['verdict']}")]
    parts += curve(30, "memory (RSS of all its processes, MB)", minutes, [one["rss_mb"] for one in samples], "first")
    parts += curve(180, "images acknowledged a second", minutes[1:], rates[1:], "second")
    machine = found["machine"]
    where = (
        f"{machine['cores']} cores ({machine['processor']}), {found['measured_at'][:10]}; minutes from left to right"
    )
    parts.append(text(0, 328, where, "small"))
    return svg(336, parts, "Memory and rate of the listener during the soak")


def _is_main(cell: Mapping[str, Any]) -> bool:
    return (cell["associations"], cell["storage"], cell["sender"]) == MAIN_CELLS


def _panel(cell: Mapping[str, Any], top: int) -> tuple[list[str], int]:
    receivers: Mapping[str, Mapping[str, Any]] = cell["receivers"]
    best = max(one["images_per_second"] for one in receivers.values())
    parts = [text(0, top + 22, f"{cell['size_mb']:g} MB")]
    at = top + TITLE
    for name, one in sorted(receivers.items(), key=lambda pair: -pair[1]["images_per_second"]):
        kind = "ours" if name.startswith("RadStream") else "floor" if name.startswith("bare ") else "theirs"
        parts += bar(at, one["images_per_second"] / best, kind, _words(one), name)
        at += _ROW
    return parts, at


def _words(one: Mapping[str, Any]) -> str:
    words = f"{one['images_per_second']:g}"
    if "answer_ms" in one:
        times = one["answer_ms"]
        words += f" = {one['ratio_to_storescp']:g} x storescp; p50 {times['p50']:g}, p99 {times['p99']:g} ms"
    return words
