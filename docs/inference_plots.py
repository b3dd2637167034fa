"""The plots of the inference group, from what its benchmarks wrote."""

from collections.abc import Mapping, Sequence
from typing import Any

import inference_figures
from drawing import TITLE, bar, curve, svg, text
from listener_figures import measured

#: Each side of benchmarks/peers.py and the colour of its bars.
SIDES = {"ours": "ours", "LitServe": "third", "Ray Serve": "fourth", "bare": "theirs"}
LATENCIES = {"p50": "ours", "p95": "third", "p99": "fourth"}
_STEP, _GAP = 17, 6


def throughput() -> str:
    """Draw the consumer's rate beside the bare loop's, a panel for each package."""
    found = measured("inference")
    parts, top, package = [text(0, 14, f"Images a second: our consumer, and {inference_figures.BARE}")], 24, ""
    best = max((max(one["per_second"].values()) for _, _, one in inference_figures.cells(found)), default=1.0)
    for name, syntax, one in inference_figures.cells(found):
        if name != package:
            parts.append(text(0, top + 22, name))
            package, top = name, top + TITLE
        for side, kind in (("ours", "ours"), ("bare", "theirs")):
            rate = one["per_second"][side]
            words = f"{rate:g} = {one['ratio']:.2f} x bare" if side == "ours" else f"{rate:g}"
            parts += bar(top, rate / best, kind, words, syntax if side == "ours" else "")
            top += _STEP
        top += _GAP
    return _page(found, parts, top, "Our inference consumer beside a bare loop")


def load() -> str:
    """Draw the latency at shares of the capacity, and the rate by members of the group."""
    found = measured("inference")
    latency, rates = found["latency"], found["members"]["images_per_second"]
    shares = [name for name in latency if name.endswith("%")]
    slowest = max(latency[share][name] for share in shares for name in LATENCIES)
    parts = [
        text(0, 14, f"Receipt to a read_committed reader; capacity {latency['capacity_per_second']:g} images a second")
    ]
    top = 24
    for share in shares:
        for number, (name, kind) in enumerate(LATENCIES.items()):
            words, title = f"{name} {latency[share][name]:g} ms", "" if number else f"at {share} of the capacity"
            parts += bar(top, latency[share][name] / slowest, kind, words, title)
            top += _STEP
        top += _GAP
    parts.append(text(0, top + 22, "Images a second, by members of the group on the same cores"))
    top += TITLE
    for count, rate in rates.items():
        parts += bar(
            top, rate / max(rates.values()), "ours", f"{rate:g}", f"{count} member{'s' if count != '1' else ''}"
        )
        top += _STEP + _GAP
    return _page(found, parts, top, "Latency by load, and rate by members")


def peers() -> str:
    """Draw each side's share of the bare loop, a panel for each package."""
    found = measured("peers")
    parts, top = [text(0, 14, "Images a second as a share of the bare loop: ours, LitServe, Ray Serve; bare is 1")], 24
    for package, one in found.get("packages", {}).items():
        parts.append(text(0, top + 22, package))
        top += TITLE
        for syntax, sides in one["syntaxes"].items():
            best = max(side["ratio"] for side in sides.values())
            for number, (name, kind) in enumerate(SIDES.items()):
                words = f"{name} {sides[name]['ratio']:.2f} ({sides[name]['images_per_second']:g} a second)"
                parts += bar(top, sides[name]["ratio"] / best, kind, words, "" if number else syntax)
                top += _STEP
            top += _GAP
    return _page(found, parts, top, "Our consumer beside LitServe and Ray Serve")


def memory() -> str:
    """Draw the memory of the consumer's processes over a long run."""
    found = measured("inference_memory")
    if not found:
        return _page(found, [], 0, "Memory of the inference consumer")
    samples: Sequence[Mapping[str, Any]] = found["samples"]
    thousands = [one["images"] / 1000 for one in samples]
    parts = [text(0, 14, f"The inference consumer over {found['images']} images, in thousands from left to right")]
    parts += curve(30, "PSS of all processes (MB)", thousands, [one["pss_mb"] for one in samples], "first")
    parts += curve(
        180, "RSS, shared pages counted for each (MB)", thousands, [one["rss_mb"] for one in samples], "second"
    )
    return _page(found, parts, 310, "Memory of the inference consumer")


def _page(found: Mapping[str, Any], parts: Sequence[str], top: float, title: str) -> str:
    if not found:
        return svg(20, [text(0, 14, f"{title}: not measured yet")], title)
    machine = found["machine"]
    where = (
        f"{machine['cores']} cores ({machine['processor']}), shared with the servers; "
        f"load {machine['load']} at its end; {found['measured_at'][:10]}"
    )
    return svg(top + 26, [*parts, text(0, top + 18, where, "small")], title)
