"""The rows and plots of the inference group's benchmarks: used by docs/figures.py and docs/inference_plots.py."""

from collections.abc import Iterator, Mapping
from typing import Any

from listener_figures import Rows

#: The parts of the benchmark, each with its rows.
BARE = "a bare loop of get, hash, decode and forward"


def rows(found: Mapping[str, Any]) -> Rows:
    """Give what was measured; parts that the run left out are left out here."""
    made = [
        (
            f"consumer / bare loop: {package}, {syntax}, {one['megabytes']:g} MB",
            _share(one),
            f"at least {found['bars'][package]:g}" if package in found["bars"] else "",
        )
        for package, syntax, one in cells(found)
    ]
    for part, describe in (("cold_start", _cold), ("members", _members), ("latency", _latency), ("stat", _stat)):
        if part in found:
            made += describe(found[part])
    return made


def plots(_found: Mapping[str, Any]) -> list[str]:
    """Show the plots under the rows."""
    return [
        "",
        f"![Images a second of our consumer, and of {BARE}](inference.svg)",
        "",
        "![Latency by load, and rate by members of the group](inference-load.svg)",
    ]


def cells(found: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Go through the ratios: package, syntax, figures."""
    for package, syntaxes in found.get("ratios", {}).items():
        for syntax, one in syntaxes.items():
            yield package, syntax, one


def _cold(one: Mapping[str, Any]) -> Rows:
    return [("from the process's start to its first committed result", f"{one['seconds']:g} s", f"{one['bar']:g} s")]


def _members(one: Mapping[str, Any]) -> Rows:
    rates = ", ".join(f"{rate:g} with {count}" for count, rate in one["images_per_second"].items())
    return [("images a second by members of the group, on the same cores", rates, "")]


def _latency(one: Mapping[str, Any]) -> Rows:
    return [
        (
            f"receipt to reader at {share} of {one['capacity_per_second']:g} images a second",
            f"p50 {times['p50']} ms, p95 {times['p95']} ms, p99 {times['p99']} ms (n = {times['n']})",
            "",
        )
        for share, times in one.items()
        if share != "capacity_per_second"
    ]


def _share(one: Mapping[str, Any]) -> str:
    rates = one["per_second"]
    by_time = f"{one['ratio']:.2f} ({rates['ours']:g} / {rates['bare']:g} a second)"
    return f"{by_time}; by CPU time {one['ratio_by_cpu_time']:.2f}"


def _stat(one: Mapping[str, Any]) -> Rows:
    times, meanwhile = one["stat_ms"], one["routine_per_second_meanwhile"]
    taken = f"p50 {times['p50']} ms, p99 {times['p99']} ms (n = {times['n']})"
    return [
        (
            f"STAT while {one['routine_waiting_at_end']} to {one['routine_waiting_at_start']} routine images wait",
            f"{taken}; {meanwhile:g} routine a second meanwhile",
            f"p99 {one['bar_p99_ms']:g} ms",
        )
    ]


def memory(found: Mapping[str, Any]) -> Rows:
    """Give the rows of benchmarks/inference_memory.py."""
    what = f"memory (PSS) of the consumer and its decoders over {found['images']} images"
    ends = f"{found['first_tenth_mb']:g} MB in the first tenth, {found['last_tenth_mb']:g} MB in the last"
    return [
        (f"{what}: growth after the warm-up", f"{found['growth']['pss_mb']:g} MB", f"{found['bound_mb']:g} MB"),
        (f"{what}: medians", ends, ""),
        (f"{what}: peak", f"{found['peak_pss_mb']:g} MB (RSS {found['peak_rss_mb']:g} MB)", ""),
        ("images a second meanwhile", f"{found['images_per_second']:g}", ""),
    ]


def memory_plot(_found: Mapping[str, Any]) -> list[str]:
    """Show the curve."""
    return ["", "![Memory of the inference consumer over a long run](inference-memory.svg)"]


def engines(found: Mapping[str, Any]) -> Rows:
    """Give the rows of benchmarks/engines.py."""
    return [
        (
            f"images a second of an engine: {what}",
            ", ".join(f"{name} {rate['median']:g}" for name, rate in rates.items()),
            "",
        )
        for what, rates in found["images_per_second"].items()
    ]


def door(found: Mapping[str, Any]) -> Rows:
    """Give the rows of benchmarks/predict_door.py."""
    made = [
        (
            f"prediction door, {found['clients']} clients: {what}",
            f"{one['images_per_second']['door']:g} a second = {one['door_to_pooled']:.2f} x the same without HTTP",
            "",
        )
        for what, one in found["throughput"].items()
    ]
    return made + [
        (
            f"STAT by C-STORE, 5 a second, receipt to result; door: {beside}",
            f"p50 {times['p50']} ms, p99 {times['p99']} ms",
            "",
        )
        for beside, times in found["stat_latency_ms"].items()
    ]


def heatmaps(found: Mapping[str, Any]) -> Rows:
    """Give the rows of benchmarks/heatmaps.py; the bar is for the whole path."""

    def row(name: str, one: Mapping[str, Any], bar: str) -> tuple[str, str, str]:
        return name, f"{one['ratio']:.2f} of the rate without; by CPU time {one['ratio_by_cpu']:.2f}", bar

    shares = [(name, one) for name, one in found["path"].items() if name != "missing"]
    return [
        *(row(f"whole path, maps of positives, {name}", one, f"at least {found['bar']:g}") for name, one in shares),
        row("engine alone, with a heat map of each image", found, "-"),
    ]


def ensemble(found: Mapping[str, Any]) -> Rows:
    """Give the rows of benchmarks/ensemble.py: the cost, and the gain where two trained networks were given."""
    one, both = found["cost"].values()
    cost = (
        f"{both['rate_to_the_first']:.2f} of the rate of one; CPU {both['cpu_ms']:g} ms an image for {one['cpu_ms']:g}"
    )
    gain = [
        (
            f"an ensemble, {part} films ({found[part]['films']}): AUC less the first member's",
            "{value:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}".format(
                **found[part]["ensemble"]["auc_less_the_first"]
            ),
            "",
        )
        for part in ("test", "external")
        if part in found
    ]
    return [("an ensemble of two networks of the shipped kind, whole path", cost, ""), *gain]
