"""A service of ours as a real process, for tests that start it, kill it and start it again."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from radstream.setting_reader import without_settings
from radstream.settings import process_environment
from radstream.stack.ports import DEFAULT_PORTS, OFFSET_STEP
from radstream.stack.probes import health
from tests.processes import children, lives, name_of

READY_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.05

#: What would cost each start of a service time on the disk: two segments are enough to see them used again.
SMALL: Mapping[str, str] = {"RADSTREAM_SPOOL_SPARE_BYTES": str(64 * 1024 * 1024)}

WORDS: Mapping[str, tuple[str, ...]] = {
    "dicom_listener": ("dicom_listener",),
    "inference": ("consumers", "inference"),
    "sink": ("consumers", "sink"),
    "streams": ("streams",),
    "training": ("training",),
}


def plain_environment() -> dict[str, str]:
    """Give the environment without any setting of ours, be it in the developer's shell or left by a `make demo`."""
    return without_settings(process_environment()) | {"RADSTREAM_STATE_DIR": "/nonexistent"}


_given: set[int] = set()


def unused_port() -> int:
    """Return a port of loopback that nobody listens on, no outgoing connection is given, and no other call returned.

    Its owner may start late, or be away for a while and come back. A port of the kernel's own range would not do: it is
    any client's meanwhile; and a client that calls one where nobody listens may be given that port, and call itself.
    Nor would one that a stack takes at some offset: its server may be away for a while, too.
    """
    lowest_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0])
    of_stacks = {port % OFFSET_STEP for port in DEFAULT_PORTS.values()}
    while True:
        port = random.randrange(lowest_given // 2, lowest_given)  # noqa: S311 - no secret
        if port in _given or port % OFFSET_STEP in of_stacks:
            continue
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port


def until(true: object, seconds: float = 30.0, otherwise: str = "not in time") -> None:
    """Poll a function to a deadline; fail with the words of `otherwise`."""
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(POLL_SECONDS)


class Service:
    """One process of ours. It keeps its metrics port and its log over restarts."""

    def __init__(self, name: str, environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.metrics_port = int(environment["RADSTREAM_METRICS_PORT"])
        self.log = log
        self._environment = {**SMALL, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of this moment."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, wait: bool = True, **environment: str) -> "Service":
        """Start the process, this time with more settings; with `wait`, return when it is ready."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *WORDS[self.name]],
                env=self._environment | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait for /health/ready; fail at once when the process ends."""

        def ready() -> bool:
            assert self.running, f"{self.name} ended with {self.exit_status}:\n{self.tail()}"
            return not health(self.metrics_port)

        try:
            until(ready, seconds)
        except AssertionError as error:
            if not self.running:
                raise
            raise AssertionError(f"{self.name} is not ready: {self.why_not()}") from error

    def why_not(self) -> str:
        """Say what keeps it: its own answer, who has its port, where its threads and those of its workers stand."""
        at = f":{self.metrics_port:04X} "
        sockets = [line for line in Path("/proc/net/tcp").read_text("ascii").splitlines() if at in line]
        return "\n".join([health(self.metrics_port), *sockets, self.stacks()])

    def stacks(self) -> str:
        """Have the process, and a listener's workers, write where their threads stand; return the end of the log."""
        for pid in (self.pid, *(self.workers() if self.name == "dicom_listener" else ())):
            os.kill(pid, signal.SIGUSR1)
        with suppress(AssertionError):
            until(lambda: "most recent call first" in self.tail(), 5)
        time.sleep(POLL_SECONDS)  # the second one writes, too
        return self.tail(200)

    def wait_exit(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for the end; return the exit status (negative: the signal)."""
        assert self._process is not None
        return self._process.wait(seconds)

    def workers(self) -> list[int]:
        """List the process ids of a listener's workers that live, by number (those that wait to be buried don't)."""
        return sorted((child for child in self._children() if name_of(child).startswith("worker")), key=name_of)

    def fork_server(self) -> int | None:
        """Give the process id of a listener's fork server; None while there is none."""
        return next((child for child in self._children() if name_of(child) == "fork server"), None)

    def _children(self) -> list[int]:
        return [child for child in children(self.pid) if lives(child)]

    @property
    def exit_status(self) -> int | None:
        """The exit status, None while it runs."""
        return None if self._process is None else self._process.poll()

    def kill9(self) -> None:
        """Kill the process as a crash would, its workers included."""
        os.killpg(self.pid, signal.SIGKILL)
        self.wait_exit()

    def stop(self) -> int:
        """Ask it to end by SIGTERM; return its exit status."""
        if self.running:
            os.kill(self.pid, signal.SIGTERM)
        try:
            return self.wait_exit()
        except subprocess.TimeoutExpired:
            self.kill9()
            raise

    def restart(self, *, wait: bool = True) -> "Service":
        """Start again after a kill or a stop; the process id is another."""
        if self.running:
            self.stop()
        return self.start(wait=wait)

    def tail(self, lines: int = 30) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@contextmanager
def listening() -> Iterator[int]:
    """Hold a port of loopback, as another program would."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield int(other.getsockname()[1])
