"""The supervisor of one site: supervisord (PyPI) on a Unix socket, asked over XML-RPC."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy, Transport

from radstream.setting_reader import without_settings
from radstream.stack.components import Component
from radstream.stack.ports import is_free
from radstream.stack.site import Site, write_private
from radstream.stack.tools import Tools
from schemas.errors import StackNotReady

RPC_SECONDS = 30.0
START_SECONDS = 10.0
STOP_SECONDS = 40.0
POLL_SECONDS = 0.05

#: util-linux: the kernel sends TERM to a process whose supervisord was killed, so that nothing is left behind.
END_WITH_SUPERVISOR = ("setpriv", "--pdeathsig", "TERM", "--")

_NOT_RUNNING = 70  # supervisor.xmlrpc.Faults
_ALREADY_STARTED = 60

#: supervisor's process states in the words of `status`.
STATES: Mapping[str, str] = {
    "RUNNING": "running",
    "STARTING": "starting",
    "BACKOFF": "restarting",
    "STOPPING": "stopping",
    "STOPPED": "stopped",
    "EXITED": "died",
    "FATAL": "died",
    "UNKNOWN": "died",
}


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=RPC_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(RPC_SECONDS)
        self.sock.connect(str(self._path))


class _UnixTransport(Transport):
    """XML-RPC over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        known, connection = self._connection
        if connection is not None and known == host:
            return connection  # several calls of one proxy share it, or all but the last leak
        connection = _UnixConnection(self._path)
        self._connection = host, connection  # where the base class looks for what it must close
        return connection


class Supervisor:
    """Talks to the supervisord of one site; starts it when asked to."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def running(self) -> bool:
        """Say whether the site's supervisord answers."""
        try:
            with self._proxy() as rpc:
                return bool(rpc.supervisor.getPID())
        except OSError:
            return False

    def pid(self) -> int:
        """Return supervisord's process id."""
        with self._proxy() as rpc:
            return int(str(rpc.supervisor.getPID()))

    def states(self) -> dict[str, tuple[str, int, str]]:
        """Return of each process its state (in the words of `status`), process id and supervisor's remark."""
        try:
            with self._proxy() as rpc:
                rows: Any = rpc.supervisor.getAllProcessInfo()
        except OSError:
            return {}
        return {row["name"]: (STATES[row["statename"]], row["pid"], row["spawnerr"]) for row in rows}

    def launch(self, components: Sequence[Component], tools: Tools, environment: Mapping[str, str]) -> None:
        """Start supervisord with every component known and none running, unless it already answers.

        One that answers takes the newly rendered configuration in, so that a changed setting counts.
        """
        config = self._site.config_dir / "supervisord.conf"
        text = rendered(self._site, components, tools)
        known = config.read_text(encoding="utf-8") if config.exists() else ""
        if self.running():
            if text != known:
                write_private(config, text)
                self._reread()
            return
        write_private(config, text)
        self._site.socket_path.unlink(missing_ok=True)
        result = subprocess.run(  # noqa: S603 - our own interpreter and configuration
            [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(config)],
            env=without_settings(environment),
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            last = (result.stderr or result.stdout).strip().splitlines()[-1:] or ["no output"]
            raise StackNotReady(f"supervisord did not start: {last[0]}")
        until(self.running, START_SECONDS, f"supervisord does not answer on {self._site.socket_path}")

    def start(self, component: Component) -> None:
        """Start one process; one that runs is left alone."""
        with self._proxy() as rpc:
            try:
                rpc.supervisor.startProcess(component.name, False)
            except Fault as fault:
                if fault.faultCode != _ALREADY_STARTED:
                    raise StackNotReady(f"{component.name} did not start: {fault.faultString}") from fault

    def stop(self, components: Sequence[Component]) -> None:
        """Stop these processes side by side and wait for their ends."""
        for component in components:
            with self._proxy() as rpc:
                try:
                    rpc.supervisor.stopProcess(component.name, False)
                except Fault as fault:
                    if fault.faultCode != _NOT_RUNNING:
                        raise StackNotReady(f"{component.name} did not stop: {fault.faultString}") from fault
        names = {component.name for component in components}

        def all_stopped() -> bool:
            return all(pid == 0 for name, (_, pid, _) in self.states().items() if name in names)

        until(all_stopped, STOP_SECONDS, f"{', '.join(sorted(names))} did not stop within {STOP_SECONDS:.0f} s")

    def shut_down(self) -> None:
        """End supervisord itself, and wait until it is gone."""
        pid = self.pid()
        with self._proxy() as rpc:
            rpc.supervisor.shutdown()
        until(lambda: not alive(pid), STOP_SECONDS, f"supervisord (process {pid}) did not end")

    def _reread(self) -> None:
        """Take in a changed configuration: a process whose command or settings changed is stopped."""
        with self._proxy() as rpc:
            changes: Any = rpc.supervisor.reloadConfig()
            added, changed, removed = changes[0]
            for group in (*changed, *removed):  # each program is a group of its own name
                rpc.supervisor.stopProcessGroup(group)
                rpc.supervisor.removeProcessGroup(group)
            for group in (*added, *changed):
                rpc.supervisor.addProcessGroup(group)

    @contextmanager
    def _proxy(self) -> Iterator[ServerProxy]:
        with ServerProxy("http://localhost", transport=_UnixTransport(self._site.socket_path)) as proxy:
            yield proxy


def rendered(site: Site, components: Sequence[Component], tools: Tools) -> str:
    """Render supervisord's configuration; it holds credentials, so it is written for its owner alone."""
    sections = {
        "unix_http_server": {"file": str(site.socket_path), "chmod": "0600"},
        "supervisord": {
            "logfile": str(site.log_file("supervisord")),
            "pidfile": str(site.state_dir / "supervisord.pid"),
            "childlogdir": str(site.log_dir),
            "directory": str(Path.cwd()),
            **({"user": "root"} if os.getuid() == 0 else {}),
        },
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
    }
    for component in components:
        sections[f"program:{component.name}"] = _program(site, component, tools)
    return "\n".join(
        f"[{title}]\n" + "".join(f"{name}={value}\n" for name, value in values.items())
        for title, values in sections.items()
    )


def _program(site: Site, component: Component, tools: Tools) -> dict[str, str]:
    launch = component.command(site, tools)
    log = site.log_file(component.name)
    return {
        "command": " ".join(_quoted(word) for word in (*END_WITH_SUPERVISOR, *launch.argv)),
        "directory": _literal(str(launch.directory or Path.cwd())),
        "environment": ",".join(f"{name}={_quoted(value)}" for name, value in launch.environment.items()),
        **({"user": launch.user} if launch.user else {}),
        "autostart": "false",
        "autorestart": "true",
        "startsecs": "1",
        "startretries": "30",  # PostgreSQL refuses for some seconds after a kill, until its children are gone
        "stopsignal": launch.stop_signal,
        "stopwaitsecs": str(launch.stop_seconds),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": _literal(str(log)),
        "stdout_logfile_maxbytes": "20MB",
        "stdout_logfile_backups": "1",
    }


def _literal(text: str) -> str:
    """Escape what supervisor would expand."""
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """Quote a word for supervisor's shlex."""
    return '"' + _literal(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def alive(pid: int) -> bool:
    """Say whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # the latter when it ends between open and read
        return False
    return state not in {"Z", "X"}


def orphaned(site: Site) -> bool:
    """Say whether a supervisord died here without cleaning up; the kernel ends its processes then (`_program`)."""
    pid_file = site.state_dir / "supervisord.pid"
    return pid_file.exists() and not alive(int(pid_file.read_text() or 0))


def await_orphans(site: Site) -> None:
    """Wait until what a killed supervisord ran has let go of its ports."""
    until(
        lambda: all(is_free(port) for port in site.ports.values()),
        STOP_SECONDS,
        "what a killed supervisord ran does not end, or another program has its ports; see `radstream status`",
    )
    (site.state_dir / "supervisord.pid").unlink(missing_ok=True)


def until(true: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Poll to a deadline; raise `StackNotReady` when it passes."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise StackNotReady(otherwise)
        time.sleep(POLL_SECONDS)
