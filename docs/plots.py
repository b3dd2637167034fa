"""The plots of the docs, from what the benchmarks wrote: plain SVG, legible on light and dark pages."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

import inference_figures
from listener_figures import MAIN_CELLS, measured

_STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.small { font-size: 11px; fill: #57606a; }
.ours { fill: #1f6feb; } .theirs { fill: #8c959f; } .floor { fill: none; stroke: #8c959f; stroke-dasharray: 3 2; }
.line { fill: none; stroke-width: 1.5; } .frame { stroke: #8c959f; stroke-width: 1; fill: none; }
.first { stroke: #1f6feb; } .second { stroke: #bf5700; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .small { fill: #9198a1; } .ours { fill: #4493f8; }
  .first { stroke: #4493f8; } .second { stroke: #f0883e; }
}
</style>"""

_WIDTH, _NAMES, _BAR, _ROW, _TITLE = 860, 270, 300, 22, 34


def listener() -> str:
    """Draw images a second of each receiver at 4 associations on the disk, a panel for each size."""
    found = measured("listener")
    parts, top = [], 24
    parts.append(
        _text(0, 14, "Images answered Success a second; 4 associations of dcmsend; median of interleaved rounds")
    )
    for cell in sorted((one for one in found["cells"] if _is_main(one)), key=lambda one: float(one["size_mb"])):
        drawn, top = _panel(cell, top)
        parts += drawn
    machine = found["machine"]
    where = (
        f"{machine['cores']} cores ({machine['processor']}), shared with senders and servers; "
        f"load before the run {found['load_before']}; {found['measured_at'][:10]}"
    )
    parts.append(_text(0, top + 18, where, "small"))
    return _svg(top + 26, parts, "How fast the listener answers beside other receivers")


def soak() -> str:
    """Draw memory and rate over the time of the soak."""
    found = measured("soak")
    samples: Sequence[Mapping[str, Any]] = found["samples"]
    minutes = [one["seconds"] / 60 for one in samples]
    rates = [0.0] + [
        (after["acknowledged"] - before["acknowledged"]) / (after["seconds"] - before["seconds"])
        for before, after in pairwise(samples)
    ]
    parts = [_text(0, 14, f"The listener at full rate for {found['minutes']:g} minutes: {found['verdict']}")]
    parts += _curve(30, "memory (RSS of all its processes, MB)", minutes, [one["rss_mb"] for one in samples], "first")
    parts += _curve(180, "images acknowledged a second", minutes[1:], rates[1:], "second")
    machine = found["machine"]
    where = (
        f"{machine['cores']} cores ({machine['processor']}), {found['measured_at'][:10]}; minutes from left to right"
    )
    parts.append(_text(0, 328, where, "small"))
    return _svg(336, parts, "Memory and rate of the listener during the soak")


def inference() -> str:
    """Draw the consumer's rate beside the bare loop's, a panel for each package."""
    found = measured("inference")
    parts, top, package = [_text(0, 14, f"Images a second: our consumer, and {inference_figures.BARE}")], 24, ""
    best = max((max(one["per_second"].values()) for _, _, one in inference_figures.cells(found)), default=1.0)
    for name, syntax, one in inference_figures.cells(found):
        if name != package:
            parts.append(_text(0, top + 22, name))
            package, top = name, top + _TITLE
        for side, kind in (("ours", "ours"), ("bare", "theirs")):
            rate = one["per_second"][side]
            width = max(1.0, _BAR * rate / best)
            words = f"{rate:g} = {one['ratio']:.2f} x bare" if side == "ours" else f"{rate:g}"
            parts.append(_text(0, top + 12, syntax if side == "ours" else ""))
            parts.append(f'<rect class="{kind}" x="{_NAMES}" y="{top}" width="{width:.1f}" height="15" rx="2"/>')
            parts.append(_text(_NAMES + width + 8, top + 12, words, "small"))
            top += 17
        top += 6
    machine = found["machine"]
    where = f"{machine['cores']} cores ({machine['processor']}), shared with the servers; {found['measured_at'][:10]}"
    parts.append(_text(0, top + 18, where, "small"))
    return _svg(top + 26, parts, "Our inference consumer beside a bare loop")


def _is_main(cell: Mapping[str, Any]) -> bool:
    return (cell["associations"], cell["storage"], cell["sender"]) == MAIN_CELLS


def _panel(cell: Mapping[str, Any], top: int) -> tuple[list[str], int]:
    receivers: Mapping[str, Mapping[str, Any]] = cell["receivers"]
    best = max(one["images_per_second"] for one in receivers.values())
    parts = [_text(0, top + 22, f"{cell['size_mb']:g} MB")]
    at = top + _TITLE
    for name, one in sorted(receivers.items(), key=lambda pair: -pair[1]["images_per_second"]):
        width = max(1.0, _BAR * one["images_per_second"] / best)
        kind = "ours" if name.startswith("RadStream") else "floor" if "answer_ms" not in one else "theirs"
        parts.append(_text(0, at + 12, name))
        parts.append(f'<rect class="{kind}" x="{_NAMES}" y="{at}" width="{width:.1f}" height="15" rx="2"/>')
        parts.append(_text(_NAMES + width + 8, at + 12, _words(one), "small"))
        at += _ROW
    return parts, at


def _words(one: Mapping[str, Any]) -> str:
    words = f"{one['images_per_second']:g}"
    if "answer_ms" in one:
        times = one["answer_ms"]
        words += f" = {one['ratio_to_storescp']:g} x storescp; p50 {times['p50']:g}, p99 {times['p99']:g} ms"
    return words


def _curve(top: int, title: str, xs: Sequence[float], ys: Sequence[float], kind: str) -> list[str]:
    highest, last = max(ys) * 1.05 or 1.0, max(xs) or 1.0
    points = " ".join(
        f"{10 + 760 * x / last:.1f},{top + 130 - 110 * y / highest:.1f}" for x, y in zip(xs, ys, strict=True)
    )
    return [
        _text(10, top + 12, f"{title}: lowest {min(ys):.0f}, highest {max(ys):.0f}"),
        f'<rect class="frame" x="10" y="{top + 20}" width="760" height="110"/>',
        f'<polyline class="line {kind}" points="{points}"/>',
    ]


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text{f" class={kind!r}" if kind else ""} x="{x:.0f}" y="{y:.0f}">{escape(words)}</text>'.replace("'", '"')


def _svg(height: float, parts: Sequence[str], title: str) -> str:
    box = f'viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>'
    return "\n".join([head, _STYLE, *parts, "</svg>", ""])
