"""Starting, asking and stopping the whole: the order that matters stands here."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from radstream.stack.components import COMPONENTS, Component, Group
from radstream.stack.ports import refuse_ports_in_use
from radstream.stack.site import Site
from radstream.stack.supervision import POLL_SECONDS, Supervisor, await_orphans, orphaned
from radstream.stack.tools import Tools
from schemas.errors import StackNotReady

READY_SECONDS = 90.0
SERVICE_READY_SECONDS = 60.0
#: A component that dies again and again for this long won't start.
RESTARTING_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class ComponentState:
    """What `status` says of one component."""

    component: str
    state: str  # running, starting, restarting, stopping, stopped, died
    ready: bool
    address: str
    version: str
    detail: str  # why it is not ready, "" when it is


@dataclass(frozen=True, slots=True)
class Start:
    """An order to start: what, where, with which programs, and what to do with a server that is ready."""

    site: Site
    tools: Tools
    components: Sequence[Component]
    environment: dict[str, str]  # of the caller, for PATH and its like
    deploy: Callable[[str], None]  # given the name of a server that is ready
    wait: bool  # for our services too; servers are always waited for


def start(order: Start) -> Iterator[ComponentState]:
    """Start in the order of dependency; yield each component as it comes up.

    1. wait for what a killed supervisor left, refuse ports that others hold
    2. write the env file and the configurations, start supervisord
    3. servers, side by side: each until it answers, then the deployment to it (topics, schemas, tables, bucket)
    4. our services, when every server has what they need and the first model is recorded
    """
    supervisor = Supervisor(order.site)
    if orphaned(order.site):
        await_orphans(order.site)
    idle = [one for one in order.components if not supervisor.states().get(one.name, ("", 0, ""))[1]]
    refuse_ports_in_use((one.name, order.site.ports[port]) for one in idle for port in one.ports)
    order.site.write()
    supervisor.launch(_installed(order), order.tools, order.environment)
    servers = [one for one in order.components if one.group is Group.SERVERS]
    yield from _side_by_side(order, servers, READY_SECONDS)
    services = [one for one in order.components if one.group is Group.SERVICES]
    if any(one.name == "inference" for one in services):
        order.deploy("models")
    yield from _side_by_side(order, services, SERVICE_READY_SECONDS if order.wait else 0.0)


def _installed(order: Start) -> list[Component]:
    """Leave out what is neither wanted nor installed; what is wanted and missing raises."""
    found = []
    for component in COMPONENTS:
        try:
            component.command(order.site, order.tools)
        except StackNotReady:
            if component in order.components:
                raise
            continue
        found.append(component)
    return found


def _side_by_side(order: Start, components: Sequence[Component], seconds: float) -> Iterator[ComponentState]:
    """Start components at the same time and yield each when it is ready (at once, where `seconds` is 0)."""
    if not components:
        return
    with ThreadPoolExecutor(len(components)) as pool:
        futures = [pool.submit(_bring_up, order, component, seconds) for component in components]
        for future in as_completed(futures):
            yield future.result()


def _bring_up(order: Start, component: Component, seconds: float) -> ComponentState:
    component.prepare(order.site, order.tools)
    supervisor = Supervisor(order.site)
    supervisor.start(component)
    if seconds:
        _await_ready(order.site, component, supervisor, seconds)
    if component.group is Group.SERVERS:
        order.deploy(component.name)
    return state_of(order.site, component, supervisor.states())


def _await_ready(site: Site, component: Component, supervisor: Supervisor, seconds: float) -> None:
    """Poll until the component answers; raise with the end of its log as soon as it only dies."""
    began, why = time.monotonic(), "not asked"
    while time.monotonic() - began < seconds:
        state, _, _ = supervisor.states()[component.name]
        if state == "died" or (state == "restarting" and time.monotonic() - began > RESTARTING_SECONDS):
            raise StackNotReady(f"{component.name} does not start: {_last_line(site, component)}")
        why = component.ready(site)
        if not why:
            return
        time.sleep(POLL_SECONDS)
    log = site.log_file(component.name)
    raise StackNotReady(f"{component.name} is not ready after {seconds:.0f} s ({why}); see {log}")


def _last_line(site: Site, component: Component) -> str:
    log = site.log_file(component.name)
    written = log.read_text(errors="replace").splitlines() if log.exists() else []
    lines = [line for line in written if line and not line[0].isspace()]  # the frames of a trace say little
    return f"{lines[-1] if lines else 'it says nothing'} (see {log})"


def state_of(site: Site, component: Component, states: dict[str, tuple[str, int, str]]) -> ComponentState:
    """Say how one component is: supervised, and answering its probe."""
    state, pid, remark = states.get(component.name, ("stopped", 0, ""))
    why = component.ready(site) if pid else (remark or ("" if state == "stopped" else "see its log"))
    ready = bool(pid) and not why
    return ComponentState(
        component=component.name,
        state="running" if ready else state,  # the supervisor calls a process "starting" for its first second
        ready=ready,
        address=component.address(site),
        version=component.version(site) if ready else "",
        detail=why,
    )


def status(site: Site) -> list[ComponentState]:
    """Ask every component, side by side."""
    states = Supervisor(site).states()
    with ThreadPoolExecutor(len(COMPONENTS)) as pool:
        return list(pool.map(lambda component: state_of(site, component, states), COMPONENTS))


def stop(site: Site) -> list[ComponentState]:
    """Stop our services, then the servers, then the supervisor.

    Nothing is stopped by name: only what this site's supervisor holds.
    """
    supervisor = Supervisor(site)
    stopped: list[ComponentState] = []
    if supervisor.running():
        known = supervisor.states()
        for group in (Group.SERVICES, Group.SERVERS):
            members = [one for one in COMPONENTS if one.group is group and known.get(one.name, ("", 0, ""))[1]]
            supervisor.stop(members)
            stopped += [state_of(site, one, {}) for one in members]
        supervisor.shut_down()
    if orphaned(site):
        await_orphans(site)
    return stopped
