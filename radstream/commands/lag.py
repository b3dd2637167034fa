"""`radstream lag`: how far each group is behind the log."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from radstream.commands.output import print_json, print_table
from radstream.lag.lag import GroupLag, measure
from radstream.settings import Settings

COLUMNS = ("group", "lane", "lag_messages", "lag_seconds", "oldest_waiting_seconds", "state")

app = typer.Typer()


@app.command("lag")
def show(*, as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """Measure every group against the last stable offset; it takes some seconds."""
    rows = [row_of(one) for one in measure(Settings.from_environment())]
    if as_json:
        for row in rows:
            print_json(row)
    else:
        print_table("", rows, COLUMNS)


def row_of(one: GroupLag) -> dict[str, Any]:
    """Give a measurement the fields of INTERFACE.md; seconds to the millisecond."""
    row = asdict(one)
    return row | {
        "state": str(one.state),
        "lag_seconds": round(one.lag_seconds, 3),
        "oldest_waiting_seconds": round(one.oldest_waiting_seconds, 3),
    }
