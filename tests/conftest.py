"""The real servers for the whole run, and services of ours as real processes.

`stack` starts Kafka, the registry, the object store, PostgreSQL and Redis once, in a state folder and at ports of
their own. A server that is missing fails the test: nothing is skipped. `RADSTREAM_TEST_STATE_DIR` names a stack that
runs already (`radstream up --only kafka,registry,object_store,postgres,redis`), which spares its start.

`make test` runs two processes of pytest, as most tests wait more than they work. Each has servers of its own, so that
a test may kill or freeze them; a file is one process's, and so are all files of tests/e2e, which share one system.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from radstream.commands.up import start_order
from radstream.settings import Settings, process_environment
from radstream.stack.ports import OFFSET_STEP, free_offset
from radstream.stack.site import Site
from radstream.stack.startup import start, stop
from tests import running
from tests.running import Service, unused_port

SERVERS = ("kafka", "registry", "object_store", "postgres", "redis")
#: Away from what a developer runs by hand, and from another test run that looks for ports at the same time.
FIRST_OFFSET = 10_000 + 100 * (os.getpid() % 50)

#: The servers' logs after a run with failures.
KEPT_LOGS = Path("build/server-logs")

#: Tests that share what they start: a group of tests that one process runs.
ONE_PROCESS = ("tests/e2e/",)

_failed = pytest.StashKey[bool]()
_begun = pytest.StashKey[bool]()


class Shares(LoadFileScheduling):
    """Gives whole files to processes, and some folders as a whole."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in ONE_PROCESS if nodeid.startswith(folder)), super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """Share the tests out."""
    return Shares(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the unit tests last, in whatever order: they fill the gap when one process is left with a long test."""
    items.sort(key=lambda item: item.nodeid.startswith("tests/unit/"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, None]:
    """Remember whether the test failed, so that fixtures can show their logs."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed


@pytest.fixture(scope="session")
def plain_environment() -> dict[str, str]:
    """Give the environment without any setting of ours."""
    return running.plain_environment()


@pytest.fixture(scope="session")
def site(plain_environment: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Site]:
    """Start the real servers and deploy to them, once for the whole run; after a failure their logs are kept."""
    # A file's fixture of the same name would have them started for each of its tests.
    assert not request.config.stash.get(_begun, False), "the servers start twice: which file has a fixture `site`?"
    request.config.stash[_begun] = True
    given = process_environment()
    worker = int(given.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    running = given.get("RADSTREAM_TEST_STATE_DIR") if worker == 0 else None
    # A short path: sockets lie in it. Open to PostgreSQL's user, who is another when root runs the tests.
    folder = Path(running or tempfile.mkdtemp(prefix=given.get("RADSTREAM_TEST_PREFIX", "rs-")))
    own: dict[str, str] = {"RADSTREAM_STATE_DIR": str(folder)}
    if not running:
        folder.chmod(0o755)
        offset = given.get("RADSTREAM_PORT_OFFSET")
        own["RADSTREAM_PORT_OFFSET"] = str(int(offset) + OFFSET_STEP * worker if offset else free_offset(FIRST_OFFSET))
    order = start_order(plain_environment | own, SERVERS)
    try:
        for _ in start(order):
            pass
        yield order.site
    finally:
        if not running:
            stop(order.site)
            if request.session.testsfailed:
                shutil.copytree(folder / "log", KEPT_LOGS / str(worker), dirs_exist_ok=True)
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
        ports = ("RADSTREAM_METRICS_PORT", "RADSTREAM_STOW_PORT", "RADSTREAM_PREDICT_PORT")
        own = {name: str(unused_port()) for name in ports}
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
