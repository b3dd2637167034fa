"""Other serving frameworks as processes: an environment of their own, a start, a client and an end."""

import http.client
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _bare_consumer import ONE_THREAD
from _consumer import cores
from _receivers import free_port
from _record import ROOT, plain_environment
from _weigh import tree

from schemas.instance_received import InstanceReceived

HERE = Path(__file__).parent
ENVIRONMENT = ROOT / "build" / "peers"
PACKAGES = ("litserve==0.2.19", "ray[serve]==2.60.0")
INSTALL_SECONDS, START_SECONDS, STOP_SECONDS, ANSWER_SECONDS = 600.0, 90.0, 20.0, 60.0
#: Requests that wait at one time: more than any peer's workers times its batch.
IN_FLIGHT = 16


class PeerFailed(SystemExit):
    """A peer can't be installed, doesn't start or answers wrongly."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A framework: the program that serves by it, its settings to try, and what they mean to its environment."""

    name: str
    program: str
    tries: Mapping[str, Mapping[str, Any]]  # `environment` is no flag but variables


def _lit(**flags: Any) -> dict[str, Any]:
    return {"workers_per_device": cores(), "num_api_servers": 1, "max_batch_size": 1, **flags}


def _ray(**flags: Any) -> dict[str, Any]:
    return {"num_replicas": cores(), "max_batch_size": 1, "max_ongoing_requests": IN_FLIGHT, **flags}


_RAY_FAST = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_SERVE_ENABLE_HA_PROXY": "1"}
#: Where Ray's HAProxy keeps its files: in the run's folder, so that two runs on one machine don't meet.
_HAPROXY_FILES = {
    "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": "haproxy.cfg",
    "RAY_SERVE_HAPROXY_SOCKET_PATH": "admin.sock",
    "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": "",
    "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": "server-state",
}

#: The settings that were best in trials come first: `--quick` tries two.
PEERS = (
    Peer(
        "LitServe",
        "_serve_litserve.py",
        {
            "a worker a core": _lit(),
            "one worker more": _lit(workers_per_device=cores() + 1),
            "a worker a core, its fast queue": _lit(fast_queue=True),
            "a worker a core, batches of 4": _lit(max_batch_size=4, batch_timeout=0.005),
        },
    ),
    Peer(
        "Ray Serve",
        "_serve_ray.py",
        {
            "one replica more, throughput optimized, HAProxy": _ray(num_replicas=cores() + 1, environment=_RAY_FAST),
            "a replica a core, throughput optimized, HAProxy": _ray(environment=_RAY_FAST),
            "a replica a core": _ray(),
            "a replica a core, batches of 4": _ray(max_batch_size=4, batch_wait_timeout_s=0.005),
        },
    ),
)


def install() -> dict[str, str]:
    """Make the environment unless it is there; give the versions. Raises PeerFailed, e.g. without a registry."""
    pins = ENVIRONMENT / "pins.txt"
    locked = [
        line.split()[0] for line in (ROOT / "requirements" / "demo.lock").read_text().splitlines() if "==" in line
    ]
    wanted = "\n".join([*locked, ""])
    done = ENVIRONMENT / "installed.txt"
    if not done.exists() or done.read_text() != wanted + " ".join(PACKAGES):
        uv = str(ROOT / ".venv" / "bin" / "uv")
        _command([uv, "venv", "-q", "--clear", "--python", str(ROOT / ".venv" / "bin" / "python"), str(ENVIRONMENT)])
        pins.write_text(wanted)
        python = str(ENVIRONMENT / "bin" / "python")
        ours = f"{ROOT}[inference-cpu]"
        _command([uv, "pip", "install", "-q", "--python", python, "-c", str(pins), "-e", ours, *PACKAGES])
        done.write_text(wanted + " ".join(PACKAGES))
    return dict(one.replace("[serve]", "").split("==") for one in PACKAGES)


def _command(words: Sequence[str]) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS, cwd=ROOT)
        told = done.stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        told = str(error)
    else:
        if done.returncode == 0:
            return
    what = f"{' and '.join(PACKAGES)} could not be installed into {ENVIRONMENT.relative_to(ROOT)}"
    raise PeerFailed(f"{what}: can the package registry be reached, and did `make setup` run?\n{told[-2000:]}")


@dataclass(slots=True)
class Serving:
    """A peer that answers."""

    pid: int
    port: int

    def images_per_second(self, events: Sequence[InstanceReceived]) -> float:
        """Ask for these images, IN_FLIGHT at one time on kept connections; give the rate from first to last."""
        waiting, failed = iter(events), []
        guard = threading.Lock()

        def ask() -> None:
            client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
            try:
                while True:
                    with guard:
                        event = next(waiting, None)
                    if event is None:
                        return
                    self.ask(client, event)
            except (OSError, http.client.HTTPException, PeerFailed) as error:
                failed.append(error)
            finally:
                client.close()

        threads = [threading.Thread(target=ask) for _ in range(IN_FLIGHT)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise PeerFailed(f"{len(failed)} of {IN_FLIGHT} clients failed: {failed[0]!r}")
        return len(events) / (time.monotonic() - began)

    def ask(self, client: http.client.HTTPConnection, event: InstanceReceived) -> list[float]:
        """Ask for one image's logits by its claim check."""
        claim = {name: getattr(event, name) for name in ("sha256", "size_bytes", "transfer_syntax_uid")}
        client.request("POST", "/predict", json.dumps(claim), {"Content-Type": "application/json"})
        response = client.getresponse()
        body = response.read()
        if response.status != http.HTTPStatus.OK:
            raise PeerFailed(f"answered {response.status}")
        return list(json.loads(body)["logits"])


@contextmanager
def serving(
    peer: Peer, flags: Mapping[str, Any], package: Path, environment: Mapping[str, str], event: InstanceReceived
) -> Iterator[Serving]:
    """Start a peer, wait for its first answer, and end all its processes."""
    port = free_port()
    own = {name: value for name, value in flags.items() if name != "environment"}
    with tempfile.TemporaryDirectory(prefix="rs-") as folder:  # short: Ray's sockets lie in it
        more = {
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(HERE))),
            "RAY_USAGE_STATS_ENABLED": "0",
            **flags.get("environment", {}),
            **{name: str(Path(folder) / at) for name, at in _HAPROXY_FILES.items()},
            **{f"RAY_SERVE_HAPROXY_{name}_PORT": str(free_port()) for name in ("METRICS", "STATS")},
        }
        popen = subprocess.Popen(
            [ENVIRONMENT / "bin" / "python", HERE / peer.program, package, str(port), folder, json.dumps(own)],
            env={**plain_environment(), **environment, **ONE_THREAD, **more},
            stdout=subprocess.DEVNULL,
            stderr=(log := (Path(folder) / "log").open("wb")),
            cwd=folder,
        )
        try:
            found = Serving(popen.pid, port)
            _wait(peer, found, popen, event, Path(folder) / "log")
            yield found
        finally:
            log.close()
            _end(popen)


def _wait(peer: Peer, found: Serving, popen: "subprocess.Popen[bytes]", event: InstanceReceived, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        client = http.client.HTTPConnection("127.0.0.1", found.port, timeout=ANSWER_SECONDS)
        try:
            found.ask(client, event)
        except (OSError, http.client.HTTPException, PeerFailed) as error:
            if popen.poll() is not None or time.monotonic() > deadline:
                told = log.read_text(errors="replace")[-3000:]
                raise PeerFailed(f"{peer.name} did not get ready ({error!r}, exit {popen.poll()}):\n{told}") from error
            time.sleep(0.2)
        else:
            return
        finally:
            client.close()


def _end(popen: "subprocess.Popen[bytes]") -> None:
    """Ask it to end; then end what is left of its processes, each by its id."""
    everyone = {pid: _born(pid) for pid in tree(popen.pid)}
    popen.terminate()
    with suppress(subprocess.TimeoutExpired):
        popen.wait(STOP_SECONDS)
    for pid, born in everyone.items():
        if born and _born(pid) == born:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    popen.wait(STOP_SECONDS)


def _born(pid: int) -> str:
    """Give when a process began, which tells it from a later one of the same id; "" when it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""
