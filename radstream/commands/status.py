"""`radstream status`: what runs, what is ready, and why not."""

from dataclasses import asdict
from typing import Annotated

import typer

from radstream.commands.output import print_json, print_table
from radstream.settings import process_environment
from radstream.stack.site import site_of
from radstream.stack.startup import status as ask

app = typer.Typer()


@app.command()
def status(*, as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """Ask every component whether it runs and is ready."""
    rows = [asdict(one) for one in ask(site_of(process_environment()))]
    if as_json:
        for row in rows:
            print_json(row)
        return
    shown = [row | {"ready": "yes" if row["ready"] else "no"} for row in rows]
    print_table("", shown, ["component", "state", "ready", "address", "version", "detail"])
