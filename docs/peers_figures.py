"""The rows and the table of benchmarks/peers.py: used by docs/figures.py."""

from collections.abc import Mapping
from typing import Any

from listener_figures import Rows


def rows(found: Mapping[str, Any]) -> Rows:
    """Give the rows of benchmarks/peers.py: the bar is the better of the peers."""
    made = []
    for package, one in found["packages"].items():
        for syntax, sides in one["syntaxes"].items():
            others = {name: side["ratio"] for name, side in sides.items() if name not in ("ours", "bare")}
            shares = ", ".join(f"{name} {share:.2f}" for name, share in others.items())
            measured = f"ours {sides['ours']['ratio']:.2f}; {shares}"
            made.append((f"share of the bare loop: {package}, {syntax}", measured, f"above {max(others.values()):.2f}"))
    return made


def table(found: Mapping[str, Any]) -> list[str]:
    """Give what each side runs with, and what it takes."""
    versions = ", ".join(f"{name} {version}" for name, version in found["peers"].items())
    lines = [
        "",
        "All sides get the same objects from the same store by the same client, check the same hash, decode and run",
        f"the model by the same functions, engine and threads, on the same {found['cores']} cores. Ours beside that",
        "reads events from the log, decodes in processes whose crash costs one image, keeps lanes, and commits each",
        "result in a transaction. A peer answers an HTTP request with logits: no log, no result that outlives it, no",
        f"lanes, no guard against crashes. {versions}; {found['in_flight']} requests in flight; each with the",
        "best of the settings that `benchmarks/_peers.py` lists.",
        "",
        "| model | side | setting | CPU (ms an image, by syntax) | memory (PSS, MB) | idle (ms of CPU a second) |",
        "|---|---|---|---|---|---|",
    ]
    for package, one in found["packages"].items():
        for name, weighed in one["pss_mb"].items():
            setting = one["settings"][name]["best"] if name in one["settings"] else "-"
            cpu = ", ".join(f"{_all_cpu(sides[name]):.1f}" for sides in one["syntaxes"].values())
            idle = one["idle_cpu_ms_a_second"][name]
            lines.append(f"| {package} | {name} | {setting} | {cpu} | {weighed:g} | {idle:g} |")
    return [*lines, "", "![Share of the bare loop: ours, LitServe, Ray Serve](peers.svg)"]


def _all_cpu(side: Mapping[str, float]) -> float:
    """Add up its processes, the servers and the client."""
    return sum(side[name] for name in ("cpu_ms", "servers_cpu_ms", "client_cpu_ms"))
