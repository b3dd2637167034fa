"""`radstream drift`: the windows' statistics."""

from typing import Annotated, Any

import typer

from radstream.commands.output import print_json, print_table
from radstream.commands.times import rfc3339
from radstream.settings import Settings
from radstream.windows import latest_windows
from schemas.window_evaluated import WindowEvaluated

FIELDS = (
    "model",
    "model_version",
    "slice",
    "window_seconds",
    "window_start",
    "window_end",
    "closed",
    "n",
    "statistics",
    "in_control",
    "kind",
    "revision",
)
COLUMNS = ("model", "slice", "window", "begins", "closed", "n", "statistics", "in_control", "kind")

#: What a table shows of a window's statistics, in this order where they are there.
SHOWN = 4

app = typer.Typer()


@app.command("drift")
def show(
    *,
    model: Annotated[str | None, typer.Option(help="Only this model's windows.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show each slice's newest window of each length."""
    windows = latest_windows(Settings.from_environment(), model)
    if as_json:
        for one in windows:
            print_json(row_of(one))
    else:
        print_table("", [table_row(one) for one in windows], COLUMNS)


def row_of(one: WindowEvaluated) -> dict[str, Any]:
    """Give a window the fields of INTERFACE.md."""
    row = {name: getattr(one, name) for name in FIELDS}
    return row | {
        "window_start": rfc3339(one.window_start),
        "window_end": rfc3339(one.window_end),
        "statistics": dict(one.statistics),
        "kind": None if one.kind is None else str(one.kind),
    }


def table_row(one: WindowEvaluated) -> dict[str, Any]:
    """Say a window in a table's words."""
    minutes = one.window_seconds // 60
    judged = {True: "yes", False: "NO", None: "not judged"}
    return {
        "model": f"{one.model} {one.model_version}",
        "slice": one.slice,
        "window": f"{minutes} min" if minutes < 60 else f"{minutes // 60} h",  # noqa: PLR2004 - minutes of an hour
        "begins": f"{one.window_start:%m-%d %H:%M}",
        "closed": "yes" if one.closed else "open",
        "n": one.n,
        "statistics": ", ".join(f"{name} {value:.3g}" for name, value in sorted(one.statistics.items())[:SHOWN]),
        "in_control": judged[one.in_control],
        "kind": one.kind,
    }
