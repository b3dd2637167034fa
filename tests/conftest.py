"""The real servers for the whole run, and services of ours as real processes.

`stack` starts Kafka, the registry, the object store, PostgreSQL and Redis once, in a state folder and at ports of
their own. A server that is missing fails the test: nothing is skipped. `RADSTREAM_TEST_STATE_DIR` names a stack that
runs already (`radstream up --only kafka,registry,object_store,postgres,redis`), which spares its start.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from radstream.commands.up import start_order
from radstream.settings import Settings, process_environment
from radstream.stack.ports import free_offset
from radstream.stack.site import Site
from radstream.stack.startup import start, stop
from tests.running import Service, free_port

SERVERS = ("kafka", "registry", "object_store", "postgres", "redis")
#: Away from what a developer runs by hand, and from another test run that looks for ports at the same time.
FIRST_OFFSET = 10_000 + 100 * (os.getpid() % 50)

#: The servers' logs after a run with failures.
KEPT_LOGS = Path("build/server-logs")

_failed = pytest.StashKey[bool]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, None]:
    """Remember whether the test failed, so that fixtures can show their logs."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed


@pytest.fixture(scope="session")
def plain_environment() -> dict[str, str]:
    """Give the environment without any setting of ours that the developer's shell may hold."""
    return {name: value for name, value in process_environment().items() if not name.startswith("RADSTREAM_")}


@pytest.fixture(scope="session")
def site(plain_environment: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Site]:
    """Start the real servers and deploy to them, once for the whole run; after a failure their logs are kept."""
    given = process_environment()
    running = given.get("RADSTREAM_TEST_STATE_DIR")
    # A short path: sockets lie in it. Open to PostgreSQL's user, who is another when root runs the tests.
    folder = Path(running or tempfile.mkdtemp(prefix=given.get("RADSTREAM_TEST_PREFIX", "rs-")))
    own: dict[str, str] = {"RADSTREAM_STATE_DIR": str(folder)}
    if not running:
        folder.chmod(0o755)
        own["RADSTREAM_PORT_OFFSET"] = given.get("RADSTREAM_PORT_OFFSET") or str(free_offset(FIRST_OFFSET))
    order = start_order(plain_environment | own, SERVERS)
    try:
        for _ in start(order):
            pass
        yield order.site
    finally:
        if not running:
            stop(order.site)
            if request.session.testsfailed:
                shutil.copytree(folder / "log", KEPT_LOGS, dirs_exist_ok=True)
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stack(site: Site) -> Settings:
    """Give the settings of the running servers."""
    return Settings.from_environment(site.environment)


@pytest.fixture
def service(
    site: Site, plain_environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Service]]:
    """Give a function that starts one of our services and waits until it is ready.

    `service("inference", RADSTREAM_ENGINE="onnxruntime")`; with `wait=False` it returns at once.
    """
    started: list[Service] = []

    def begin(name: str, *, wait: bool = True, **environment: str) -> Service:
        own = {"RADSTREAM_METRICS_PORT": str(free_port()), "RADSTREAM_STOW_PORT": str(free_port())}
        settings = plain_environment | site.environment | own | environment
        one = Service(name, settings, tmp_path / f"{name}-{len(started)}.log")
        started.append(one)
        return one.start(wait=wait)

    yield begin
    for one in reversed(started):
        if one.running:
            one.stop()
    if request.node.stash.get(_failed, False):
        for one in started:
            print(f"--- {one.log.name}\n{one.tail(60)}")  # noqa: T201 - pytest shows it with the failure
