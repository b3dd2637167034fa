"""A child that another process forked is waited for, ended and killed as one of our own."""

import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dicom_listener.processes.board import Board
from dicom_listener.processes.channel import Channel, Wanted
from dicom_listener.processes.forks import Child, ForkServer
from dicom_listener.processes.kinship import inherit_orphans
from radstream.settings import process_environment

WANTED = Wanted(1, "test-1", 2)


def _child(program: str) -> Child:
    return Child(os.posix_spawn(sys.executable, [sys.executable, "-c", program], process_environment()))


def test_a_child_that_ends_tells_its_exit_status() -> None:
    """As it ended."""
    assert _child("import sys; sys.exit(3)").ended(60) == 3


def test_a_child_that_is_asked_to_end_tells_the_signal() -> None:
    """A negative status, as subprocess has it."""
    child = _child("import time; time.sleep(600)")

    child.terminate()

    assert child.ended(60) == -signal.SIGTERM


def test_a_child_that_does_not_end_is_killed() -> None:
    """After the time."""
    assert _child("import time; time.sleep(600)").ended(0.1) == -signal.SIGKILL


@pytest.fixture
def server(plain_environment: dict[str, str]) -> Iterator[ForkServer]:
    """Give a fork server that is ready."""
    with closing(Board.made(2)) as board:
        server = ForkServer(plain_environment, board)
        server.start()
        assert select.select([server.channel], [], [], 60)[0]
        assert server.hear()
        yield server
        if server.running:
            server.end()
        inherit_orphans(whether=False)  # of other tests: nobody would bury them


def test_a_worker_is_our_own_child(server: ForkServer) -> None:
    """The fork server forks it; its status comes to us, with the server gone, too."""
    ours, theirs = Channel.pair()
    with closing(ours), closing(theirs):
        child = server.fork(WANTED, theirs)
        server.end()

        status = Path(f"/proc/{child.pid}/status").read_text("ascii")

        assert f"PPid:\t{os.getpid()}\n" in status
        assert child.ended(60) == 1  # it has no keys


def test_a_fork_server_that_is_gone_gives_no_worker(server: ForkServer) -> None:
    """An OSError, and how it ended."""
    os.kill(server.pid, signal.SIGKILL)
    ours, theirs = Channel.pair()

    with closing(ours), closing(theirs), pytest.raises(OSError):  # noqa: PT011 - whichever the kernel gives
        server.fork(WANTED, theirs)

    assert not server.hear()
    assert server.end()[1] == -signal.SIGKILL


def test_the_fork_server_runs_one_thread(server: ForkServer) -> None:
    """A library's thread would be missing in every worker, and a lock that it holds would be held for ever."""
    assert len(list(Path(f"/proc/{server.pid}/task").iterdir())) == 1


def test_the_fork_server_has_one_connection(server: ForkServer) -> None:
    """To its parent: one to a server would be shared by every worker."""
    kinds = [str(one.readlink()).partition(":")[0] for one in Path(f"/proc/{server.pid}/fd").iterdir()]

    assert kinds.count("socket") == 1
