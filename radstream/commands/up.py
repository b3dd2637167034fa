"""`radstream up`: start the system on this machine."""

import time
from collections.abc import Sequence
from typing import Annotated

import typer

from radstream import deploy
from radstream.commands.output import console, print_json
from radstream.settings import Settings, process_environment
from radstream.stack.components import BY_NAME, chosen
from radstream.stack.site import Site, site_of
from radstream.stack.startup import Start, start
from radstream.stack.tools import Tools

app = typer.Typer()


def start_order(environment: dict[str, str], only: Sequence[str] = (), *, wait: bool = True) -> Start:
    """Build the order that starts the site of this environment: also the demo's and the tests' way up."""
    site = site_of(environment)
    return Start(
        site=site,
        tools=Tools.from_environment(environment),
        components=chosen(only),
        environment=environment,
        deploy=lambda server: deploy_to(site, server),
        wait=wait,
    )


def deploy_to(site: Site, server: str) -> None:
    """Deploy to a server that is ready."""
    deploy.deploy(Settings.from_environment(site.environment), [server])


@app.command()
def up(
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Return when our services are ready, too.")] = False,
    only: Annotated[str, typer.Option(help="Names of components, separated by commas.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Start the whole system, supervised, in the order of dependency."""
    names = [name.strip() for name in only.split(",") if name.strip()]
    if unknown := sorted(set(names) - set(BY_NAME)):
        raise typer.BadParameter(f"no component is called {', '.join(unknown)}; there are {', '.join(BY_NAME)}")
    order = start_order(process_environment(), names, wait=wait)
    began = time.monotonic()
    if not as_json:
        console.print(f"Starting {len(order.components)} components; logs in {order.site.log_dir}")
    for one in start(order):
        if as_json:
            print_json({"component": one.component, "state": one.state, "address": one.address})
        else:
            readiness = "ready" if one.ready else one.detail
            console.print(f"  {time.monotonic() - began:5.1f} s  {one.component:<15} {one.address}  {readiness}")
    if not as_json:
        console.print(f"Up. Addresses and credentials: source {order.site.env_file}")
