"""Start the whole system in an empty state folder: seconds until each component is ready, memory of each at rest.

`python benchmarks/stack.py` writes benchmarks/results/stack.json. Memory is PSS (shared pages divided among their
users), of a component's process and its children, some seconds after the start, before any image.
"""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from _record import FIRST_OFFSET, plain_environment, write
from _weigh import pss_mb

from radstream.commands.up import start_order
from radstream.stack.components import BY_NAME, Group
from radstream.stack.ports import free_offset
from radstream.stack.startup import start, stop
from radstream.stack.supervision import Supervisor

REST_SECONDS = 10.0


def measure(environment: Mapping[str, str]) -> dict[str, object]:
    """Start, wait, rest, weigh, stop."""
    order = start_order(dict(environment))
    began = time.monotonic()
    ready: dict[str, float] = {}
    try:
        for one in start(order):
            ready[one.component] = round(time.monotonic() - began, 2)
        time.sleep(REST_SECONDS)
        states = Supervisor(order.site).states()
        memory = {name: pss_mb(states[name][1]) for name in ready}
    finally:
        stop(order.site)
    servers = [name for name in ready if BY_NAME[name].group is Group.SERVERS]
    return {
        "ready_seconds": ready,
        "servers_ready_seconds": max(ready[name] for name in servers),
        "all_ready_seconds": max(ready.values()),
        "memory_pss_mb": memory,
        "servers_pss_mb": round(sum(memory[name] for name in servers), 1),
        "bars": {"all_ready_seconds": 20, "servers_pss_mb": 700, "each_service_mb": 200},
    }


def main() -> None:
    """Measure once, in a folder and at ports of its own."""
    with tempfile.TemporaryDirectory(prefix="rs-bench-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's user must get in
        own = {"RADSTREAM_STATE_DIR": folder, "RADSTREAM_PORT_OFFSET": str(free_offset(FIRST_OFFSET))}
        result = measure(plain_environment() | own)
    write("stack", result)


if __name__ == "__main__":
    main()
