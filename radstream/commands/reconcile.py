"""`radstream reconcile`: whether every image that was acknowledged has its result."""

from dataclasses import asdict
from typing import Annotated

import typer

from radstream.commands.output import console, print_json, print_table
from radstream.commands.times import typed_moment
from radstream.reconciliation import accounts
from radstream.settings import Settings

COLUMNS = ("ae", "acknowledged", "evaluated", "not_evaluated", "waiting", "missing")

app = typer.Typer()


@app.command("reconcile")
def show(
    *,
    since: Annotated[str | None, typer.Option(help="Acknowledged since: 10m, 2h, 7d (ago) or RFC 3339.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Count each calling AE's images; exit 1 if anything is missing."""
    rows = [asdict(one) for one in accounts(Settings.from_environment(), typed_moment(since))]
    if as_json:
        for row in rows:
            print_json(row)
    else:
        print_table("", rows, COLUMNS)
    missing = sum(row["missing"] for row in rows)
    if missing and not as_json:
        console.print(f"{missing} acknowledged images have no result and wait nowhere.")
    if missing:
        raise typer.Exit(1)
