"""The whole system, supervised, at ports of its own: `make test` starts it once for these tests."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from radstream.commands.up import start_order
from radstream.settings import Settings
from radstream.stack.ports import free_offset
from radstream.stack.startup import start, stop
from tests.e2e.system import System
from tests.running import plain_environment

COMPONENTS = (
    "kafka",
    "registry",
    "object_store",
    "postgres",
    "redis",
    "dicom_listener",
    "inference",
    "sink",
    "streams",
)
#: Away from the offsets of the other tests' servers.
FIRST_OFFSET = 20_000
TICK_SECONDS = 2


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    """Start everything, and stop it at the end. A log is shown by its path: the folder goes only when all passed."""
    folder = Path(tempfile.mkdtemp(prefix="rs-e2e-"))
    folder.chmod(0o755)
    environment = plain_environment() | {
        "RADSTREAM_STATE_DIR": str(folder),
        "RADSTREAM_PORT_OFFSET": str(free_offset(FIRST_OFFSET)),
        "RADSTREAM_TICK_SECONDS": str(TICK_SECONDS),
    }
    order = start_order(environment, COMPONENTS, wait=True)
    try:
        for _ in start(order):
            pass
        yield System(order.site, Settings.from_environment(order.site.environment))
    finally:
        stop(order.site)
        shutil.rmtree(folder, ignore_errors=True)
