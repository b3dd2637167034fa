"""The system under a demo: the one that runs in the state folder, else one that the demo starts and stops."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from radstream.commands.output import console
from radstream.commands.up import start_order
from radstream.settings import Settings
from radstream.stack.ports import free_offset, is_free, ports_at
from radstream.stack.site import Site, site_of
from radstream.stack.startup import start, status, stop
from radstream.stack.supervision import Supervisor
from schemas.errors import StackNotReady

TICK_SECONDS = 5

#: What images, results and windows go through.
NEEDED = frozenset(
    {"kafka", "registry", "object_store", "postgres", "redis", "dicom_listener", "inference", "sink", "streams"}
)


@contextmanager
def running_system(environment: dict[str, str], *, keep: bool) -> Iterator[Settings]:
    """Give the settings of a system that runs; stop it at the end if it was started here and not to be kept."""
    site = site_of(environment)
    began = time.monotonic()
    if Supervisor(site).running():
        console.print(f"A system runs already in {site.state_dir}: the demo uses it and leaves it running.")
        _require_ready(site)
        yield Settings.from_environment(environment)
        return
    environment = environment | {
        "RADSTREAM_PORT_OFFSET": str(chosen_offset(environment, site)),
        "RADSTREAM_TICK_SECONDS": environment.get("RADSTREAM_TICK_SECONDS", str(TICK_SECONDS)),
    }
    try:
        site = _bring_up(environment)
        console.print(f"The whole system was ready after {time.monotonic() - began:.1f} s; logs in {site.log_dir}")
        yield Settings.from_environment(site.environment)
    finally:
        if keep:
            console.print(f"Still running (KEEP): `radstream status`, `radstream down`; source {site.env_file}")
        else:
            console.print("Stopping what was started ...")
            stop(site)


def chosen_offset(environment: dict[str, str], site: Site) -> int:
    """Keep to the offset that is set; else take the one of last time, or the first at which all ports are free."""
    if environment.get("RADSTREAM_PORT_OFFSET"):
        return int(site.environment["RADSTREAM_PORT_OFFSET"])
    last = int(site.environment["RADSTREAM_PORT_OFFSET"])
    return last if all(is_free(port) for port in ports_at(last).values()) else free_offset()


def _require_ready(site: Site) -> None:
    """Refuse a system that lacks what the demo needs: to change it is for whoever runs it."""
    away = [one.component for one in status(site) if one.component in NEEDED and not one.ready]
    if away:
        raise StackNotReady(f"{', '.join(away)} of the running system is not ready: run `radstream up --wait`")


def _bring_up(environment: dict[str, str]) -> Site:
    order = start_order(environment, wait=True)
    began = time.monotonic()
    with console.status("starting ...") as shown:
        for one in start(order):
            console.print(f"  {time.monotonic() - began:5.1f} s  {one.component:<15} {one.address}", highlight=False)
            shown.update(f"{one.component} is ready ...")
    return order.site
