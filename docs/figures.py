"""The figures of the docs, from what the benchmarks wrote: used by docs/tables.py."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import inference_figures
import listener_figures
import peers_figures
from listener_figures import Rows, measured

MODEL = Path(__file__).parents[1] / "models" / "chest-pneumonia" / "1.0.0" / "manifest.json"


def _latency(found: Mapping[str, Any]) -> Rows:
    over, floor, whole, bars = (found[name] for name in ("overhead_ms", "floor_ms", "publish_to_reader_ms", "bars"))
    return [
        (
            f"publish to a read-committed reader of the result, {found['rate_per_second']:g} images a second",
            f"p50 {whole['p50']} ms, p95 {whole['p95']} ms, p99 {whole['p99']} ms (n = {whole['n']})",
            "",
        ),
        (
            "of that, overhead beside fetch, decode and forward",
            f"p50 {over['p50']} ms, p99 {over['p99']} ms",
            f"p50 {bars['overhead_p50_ms']} ms, p99 {bars['overhead_p99_ms']} ms",
        ),
        ("a bare publish and transaction in the same seconds", f"p50 {floor['p50']} ms, p99 {floor['p99']} ms", ""),
        ("C-STORE to its answer at that rate", f"p50 {found['c_store_ms']['p50']} ms", ""),
    ]


def _throughput(found: Mapping[str, Any]) -> Rows:
    return [
        (
            f"{found['sent']} images end to end, as fast as they go",
            f"{found['images_per_second']} images a second; {found['results']} results",
            "",
        ),
        ("share of all cores' time in the model's forward", f"{100 * found['forward_share']:.0f} %", ""),
    ]


def _memory(found: Mapping[str, Any]) -> Rows:
    return [("largest process of ours at rest (RSS)", f"{found['largest_process_rss_mb']:.0f} MB", "200 MB")]


def _stack(found: Mapping[str, Any]) -> Rows:
    return [
        ("servers ready from an empty folder", f"{found['servers_ready_seconds']:.1f} s", ""),
        ("servers and our services ready", f"{found['all_ready_seconds']:.1f} s", "20 s"),
        ("memory of the servers (PSS)", f"{found['servers_pss_mb']:.0f} MB", "700 MB"),
    ]


def _demo(found: Mapping[str, Any]) -> Rows:
    return [
        ("`make demo`, installed, empty state", f"{found['empty_state_folder']['seconds']} s", ""),
        ("`make demo`, the second time", f"{found['second_time']['seconds']} s", "40 s"),
    ]


def _decode(found: Mapping[str, Any]) -> Rows:
    return [
        (
            f"{name}, {one['megabytes']} MB, bytes to tensor (one core)",
            f"median {one['prepare_ms']['median']} ms, best {one['prepare_ms']['best']} ms",
            "",
        )
        for name, one in found["syntaxes"].items()
    ]


def _windows(found: Mapping[str, Any]) -> Rows:
    return [
        ("one streams worker, results of the last minute", f"{found['live']['results_per_second']} a second", ""),
        ("one streams worker, results of the last hour", f"{found['backlog']['results_per_second']} a second", ""),
    ]


PARTS: Mapping[str, Callable[[Mapping[str, Any]], Rows]] = {
    "listener": listener_figures.bars,
    "soak": listener_figures.soak,
    "demo": _demo,
    "stack": _stack,
    "memory": _memory,
    "latency": _latency,
    "throughput": _throughput,
    "inference": inference_figures.rows,
    "inference_memory": inference_figures.memory,
    "peers": peers_figures.rows,
    "engines": inference_figures.engines,
    "heatmaps": inference_figures.heatmaps,
    "ensemble": inference_figures.ensemble,
    "predict_door": inference_figures.door,
    "windows": _windows,
    "decode": _decode,
}

#: What README shows of them.
FIRST = ("listener", "demo", "stack", "memory", "latency", "throughput")

#: Beside rows: a table of a benchmark's own.
TABLES: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "listener": listener_figures.table,
    "inference": inference_figures.plots,
    "inference_memory": inference_figures.memory_plot,
    "peers": peers_figures.table,
}


def page() -> str:
    """Give docs/figures.md."""
    parts = [
        "# Figures",
        "",
        "Made from `benchmarks/results/*.json` by `python docs/tables.py`; `make bench` measures them all anew.",
        "Sender, servers and services share the machine. Times are noisy: compare ratios of one run.",
    ]
    for name, rows in PARTS.items():
        found = measured(name)
        parts += ["", f"## `python benchmarks/{name}.py`", ""]
        if not found:
            parts.append("Not measured yet.")
            continue
        machine = found["machine"]
        parts += [
            f"{found['measured_at']}, {_where(machine)}.",
            "",
            "| what | measured | bar |",
            "|---|---|---|",
            *(f"| {what} | {value} | {bar or '-'} |" for what, value, bar in rows(found)),
            *(TABLES[name](found) if name in TABLES else ()),
        ]
    return "\n".join([*parts, ""])


def _where(machine: Mapping[str, Any]) -> str:
    """Name the machine, and how busy it was when the benchmark ended: the benchmark itself included."""
    cores = f"{machine['cores']} cores ({machine['processor']})"
    return f"{cores}, Python {machine['python']}, load {machine['load']} at its end"


def first_screen() -> str:
    """Give README's table."""
    rows = [row for name in FIRST for row in PARTS[name](measured(name))]
    machine = measured("latency")
    metrics = json.loads(MODEL.read_text("utf-8"))["metrics"]["test"]
    auc, recall = metrics["auc"], metrics["recall"]
    model = (
        f"AUC {auc['value']:.4f} ({auc['low']:.4f} to {auc['high']:.4f}), "
        f"recall {100 * recall['value']:.1f} % ({100 * recall['low']:.1f} to {100 * recall['high']:.1f})"
    )
    days = sorted({measured(name)["measured_at"][:10] for name in FIRST})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    where = (
        f"{machine['machine']['cores']} cores ({machine['machine']['processor']}), {when}; "
        "commands and the rest: [docs/figures.md](docs/figures.md)."
    )
    return "\n".join(
        [
            where,
            "",
            "| what | measured | bar |",
            "|---|---|---|",
            *(f"| {what} | {value} | {bar or '-'} |" for what, value, bar in rows),
            f"| the model, {auc['n']} films of patients never seen, same hospital | {model} | AUC 0.99, recall 98 % |",
        ]
    )
