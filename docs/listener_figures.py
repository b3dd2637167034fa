"""The tables of the listener's benchmark and soak: used by docs/figures.py and docs/plots.py."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"

#: Associations, storage and sender of the cells that bars and plot are about.
MAIN_CELLS = (4, "disk", "dcmsend")

COLUMNS = (
    *("images", "associations", "onto", "sender", "receiver", "images a second", "to storescp"),
    *("answer p50, p99 (ms)", "CPU (ms an image)", "memory (MB)"),
)

Rows = list[tuple[str, str, str]]


def measured(name: str) -> dict[str, Any]:
    """Read what a benchmark wrote; empty where it has not run yet."""
    path = RESULTS / f"{name}.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def bars(found: Mapping[str, Any]) -> Rows:
    """Give the bars, and what physics allows of them: ratios of the same rounds."""
    barred = [(name, value, f"at least {bar:g}") for name, (value, bar) in found["bars"].items()]
    allowed = [(name, value, "") for name, value in found.get("of_physics", {}).items()]
    return [
        (f"listener, ratio: {name}, {MAIN_CELLS[0]} associations", f"{value:.2f}", bar)
        for name, value, bar in (*barred, *allowed)
    ]


def soak(found: Mapping[str, Any]) -> Rows:
    """Give what the soak ended with."""
    return [
        (f"listener, {found['minutes']:g} minutes at full rate: {name}", words, bar)
        for name, words, bar in (
            ("images acknowledged, events in the log", f"{found['acknowledged']}, {found['events']}", "equal"),
            (
                "growth of memory over the run",
                f"{found['growth']['rss_mb']:.1f} MB",
                f"{found['bounds']['rss_mb']:g} MB",
            ),
            ("growth of descriptors", f"{found['growth']['descriptors']:.1f}", f"{found['bounds']['descriptors']:g}"),
            ("growth of threads", f"{found['growth']['threads']:.1f}", f"{found['bounds']['threads']:g}"),
            ("most that the spool held", f"{found['spool_peak_mb']:.0f} MB of {found['spool_disk_mb']:.0f}", "-"),
        )
    ]


def table(found: Mapping[str, Any]) -> list[str]:
    """Give every cell of the matrix, a line for each receiver."""
    lines = [
        "",
        f"Sender: `{found['sender']['command']}`; load of the machine before the run: {found['load_before']}.",
        "Answer: from the C-STORE request's first byte to its response. CPU: the receiver's processes; in brackets the",
        "servers that ours forwards to. Memory: of all its processes after the last image, what they share divided",
        "among them (PSS); runs before 2026-11-22, 03:00 UTC, give the highest sum of RSS, where it counts for each.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
    ]
    for cell in found["cells"]:
        where = f"{cell['size_mb']:g} MB | {cell['associations']} | {cell['storage']} | {cell['sender']}"
        lines += [f"| {where} | {name} | {_line(one)} |" for name, one in cell["receivers"].items()]
    return [*lines, *_backlog(found["backlog"])]


def _line(one: Mapping[str, Any]) -> str:
    rate = f"{one['images_per_second']:g}"
    if "answer_ms" not in one:
        return f"{rate} | - | - | - | -"
    answer = one["answer_ms"]
    cpu = f"{one['cpu_ms_an_image']:g} ({one['servers_cpu_ms_an_image']:g})"
    times = f"{answer['p50']:g}, {answer['p99']:g}"
    return f"{rate} | {one['ratio_to_storescp']:g} | {times} | {cpu} | {one.get('pss_mb', one['peak_rss_mb']):.0f}"


def _backlog(cases: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        "",
        "| policy `spool`, images a second | nothing forwarded | empty spool | beside a backlog | to empty spool |",
        "|---|---|---|---|---|",
        *(
            f"| {one['size_mb']:g} MB, {one['waiting_images']} waiting | {one['images_per_second']['alone']:g} "
            f"| {one['images_per_second']['fresh']:g} | {one['images_per_second']['backlog']:g} | {one['ratio']:g} |"
            for one in cases
        ),
    ]
