"""What a demo says at its end: each file's end, latency, accuracy where labels allow it, lag, accounts, windows."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from radstream.commands import lag, reconcile
from radstream.commands.demo_fates import Fate
from radstream.commands.demo_labels import Quality
from radstream.commands.output import console, print_table
from radstream.lag.lag import GroupLag
from radstream.reconciliation import Account
from schemas.window_evaluated import WindowEvaluated
from training.intervals import Estimate
from training.splits import Part

#: How many files of each kind of end the table lists; refusals are always listed.
LISTED = 24
SHORTEST_WINDOW = 300
SHOWN_STATISTICS = ("positive_share", "score_mean", "score_psi", "brightness_mean", "contrast_mean")


def show_ends(fates: Sequence[Fate]) -> None:
    """Show how each file ended; of many evaluated ones the first."""
    ended = Counter(one.ending for one in fates)
    odd = [one for one in fates if one.ending != "evaluated"]
    good = [one for one in fates if one.ending == "evaluated"][:LISTED]
    print_table(
        "Each file's end",
        [_row(one) for one in sorted([*good, *odd[:200]], key=lambda one: one.file)],
        ("file", "end", "finding", "probability", "review", "lane", "latency_ms", "ack_ms"),
    )
    if len(good) + len(odd) < len(fates):
        console.print(f"... and {len(fates) - len(good) - len(odd)} more that were evaluated")
    console.print("In all: " + ", ".join(f"{count} {end}" for end, count in ended.most_common()))


def show_latency(fates: Sequence[Fate], since: datetime) -> None:
    """Show the percentiles of this run; files that were sent before have their old results and don't count."""
    fresh = [one for one in fates if one.result is not None and one.result.received_at >= since]
    known = sum(one.acknowledged for one in fates) - len(fresh)
    rows = []
    for what, values in (
        ("receipt to result", [one.result.latency_ms for one in fresh if one.result is not None]),
        ("C-STORE to its answer", [one.ack_ms for one in fresh if one.ack_ms is not None]),
    ):
        if values:
            p50, p95, p99 = np.percentile(values, [50, 95, 99])
            rows.append({"ms": what, "n": len(values), "p50": f"{p50:.0f}", "p95": f"{p95:.0f}", "p99": f"{p99:.0f}"})
    print_table("Latency (milliseconds)", rows, ("ms", "n", "p50", "p95", "p99"))
    if known > 0:
        console.print(f"{known} files were known already (same UID, same bytes): acknowledged, and nothing done twice.")


def show_quality(found: Quality) -> None:
    """Show agreement with the labels on the test part; say what was left out of it."""
    rows = [] if found.accuracy is None else [_share("accuracy", found.accuracy)]
    rows += [_share(f"of the {name} films, found as such", one) for name, one in found.by_label.items()]
    print_table(
        "Agreement with labels.csv, on patients of the test part only", rows, ("share", "value", "interval_95", "n")
    )
    known = ", ".join(f"{found.apart[part]} of the {part} part" for part in (Part.TRAIN, Part.VALIDATION))
    console.print(f"Counted apart: {known}; {found.test_not_evaluated} of the test part were not evaluated.")


def show_lag(groups: Sequence[GroupLag]) -> None:
    """Show how far each group is behind."""
    print_table("Lag", [lag.row_of(one) for one in groups], lag.COLUMNS)


def show_accounts(accounts: Sequence[Account]) -> None:
    """Show each calling AE's account."""
    rows = [{name: getattr(one, name) for name in reconcile.COLUMNS} for one in accounts]
    print_table("Reconciliation since the demo began", rows, reconcile.COLUMNS)


def show_windows(windows: Sequence[WindowEvaluated]) -> None:
    """Show the shortest window of each slice; the longer ones are `radstream drift`'s."""
    rows = [_window_row(one) for one in windows if one.window_seconds == SHORTEST_WINDOW]
    print_table("Windows of 5 minutes (all: `radstream drift`)", rows, ("slice", "n", "closed", *SHOWN_STATISTICS))


def _row(one: Fate) -> dict[str, Any]:
    result = one.result
    probability = None if result is None else (result.probabilities or {}).get(result.finding or "")
    return {
        "file": _short(one.file),
        "end": one.ending,
        "finding": None if result is None else result.finding,
        "probability": None if probability is None else f"{probability:.3f}",
        "review": "needs clinical review" if result is not None and result.needs_review else "",
        "lane": None if result is None else result.lane,
        "latency_ms": None if result is None else f"{result.latency_ms:.0f}",
        "ack_ms": None if one.ack_ms is None else f"{one.ack_ms:.0f}",
    }


def _short(file: Path) -> str:
    return file.name if len(file.name) <= 40 else f"{file.name[:18]}\u2026{file.name[-20:]}"  # noqa: PLR2004 - a column


def _share(what: str, one: Estimate) -> dict[str, Any]:
    interval = f"{one.low:.1%} to {one.high:.1%} (Wilson)"
    return {"share": what, "value": f"{one.value:.1%}", "interval_95": interval, "n": one.n}


def _window_row(one: WindowEvaluated) -> dict[str, Any]:
    shown = {name: f"{one.statistics[name]:.2f}" if name in one.statistics else None for name in SHOWN_STATISTICS}
    return {"slice": one.slice, "n": one.n, "closed": "yes" if one.closed else "open", **shown}
