"""The probes of a service: answered from the moment that it has its port."""

import signal
import socket
import subprocess
import sys

import pytest

from radstream.service import Health, probes
from radstream.stack.probes import health as asked
from schemas.errors import PortInUse
from tests.running import listening, unused_port

STUCK = """
import threading
from radstream.logs import configure
from radstream.service import Health, Stop, run_process
def deep_inside(_settings, _health, stop):
    print("running", flush=True)
    stop.wait()
run_process("training", deep_inside, Health(), Stop())
"""


def test_probes_answer_without_a_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that takes its time keeps nobody from asking: no name is looked up."""

    def slow(_name: str = "") -> str:
        pytest.fail("a name was looked up")

    monkeypatch.setattr(socket, "getfqdn", slow)
    port, health = unused_port(), Health()

    with probes("127.0.0.1", port, health):
        waits_for = asked(port)
        health.ready()

        assert (waits_for, asked(port)) == ("service: starting", "")


def test_a_port_in_use_is_named() -> None:
    """Another program on the port of metrics: the way out is said."""
    with (
        listening() as port,
        pytest.raises(PortInUse, match=f"port {port} for metrics is in use"),
        probes("127.0.0.1", port, Health()),
    ):
        pass


def test_sigusr1_writes_where_each_thread_stands() -> None:
    """A service that does nothing says what it does, without a debugger, and goes on."""
    with subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"running\n"
        process.send_signal(signal.SIGUSR1)
        said = b""
        while b"in run_process" not in said:
            said += process.stderr.readline()
        process.terminate()
        process.stderr.read()

    assert b"in deep_inside" in said
    assert process.returncode == 0
