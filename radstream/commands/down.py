"""`radstream down`: stop what `radstream up` started."""

from typing import Annotated

import typer

from radstream.commands.output import console, print_json
from radstream.settings import process_environment
from radstream.stack.site import site_of
from radstream.stack.startup import stop

app = typer.Typer()


@app.command()
def down(*, as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """Stop our services, then the servers. The data stays."""
    site = site_of(process_environment())
    stopped = stop(site)
    for one in stopped:
        if as_json:
            print_json({"component": one.component, "state": one.state, "address": one.address})
        else:
            console.print(f"  {one.component:<15} stopped")
    if not as_json:
        console.print(f"Down. The data stays in {site.state_dir}" if stopped else "Nothing was running.")
