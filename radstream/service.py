"""How a service of ours lives: one line when it can't start, health and metrics, a clean end on SIGTERM."""

import faulthandler
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from types import FrameType
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from radstream.http_server import HttpServer
from radstream.logs import configure, get_log
from radstream.settings import Settings
from schemas.errors import PortInUse, RadStreamError

EXIT_OK = 0
EXIT_FAILED = 1
#: The probes' thread looks this often whether it shall end: a service's end waits for it.
_ROUND_SECONDS = 0.1


class Health:
    """Whether a service lives and is ready, and why not. Written by the service, read by the probes; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, str] = {"service": "starting"}
        self._remarks: dict[str, str] = {}

    def ready(self, part: str = "service") -> None:
        """Say that a part is ready."""
        with self._lock:
            self._waiting.pop(part, None)

    def not_ready(self, why: str, part: str = "service") -> None:
        """Say that a part is not ready, and why."""
        with self._lock:
            self._waiting[part] = why

    def remark(self, text: str, part: str) -> None:
        """Say what a person should know of a part that works; an empty text takes it back."""
        with self._lock:
            self._remarks[part] = text
            if not text:
                del self._remarks[part]

    @property
    def remarks(self) -> Mapping[str, str]:
        """What a person should know, by part."""
        with self._lock:
            return dict(self._remarks)

    @property
    def waiting(self) -> Mapping[str, str]:
        """The parts that are not ready, each with its reason."""
        with self._lock:
            return dict(self._waiting)


class Stop:
    """A request to stop: set by SIGTERM and SIGINT, awaited by the service's loops."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def request(self) -> None:
        """Ask the service to stop."""
        self._event.set()

    @property
    def requested(self) -> bool:
        """Whether somebody asked."""
        return self._event.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the request; say whether it came."""
        return self._event.wait(seconds)


class Run(Protocol):
    """A service's own part: runs until `stop`, keeps `health` honest, raises RadStreamError when it can't go on."""

    def __call__(self, settings: Settings, health: Health, stop: Stop) -> int | None:
        """Run until asked to stop; give an exit status other than 0 when a part of it has said why it ended."""


def run_service(name: str, run: Run, metrics: Callable[[Settings], bytes] | None = None) -> int:
    """Run a service to its end and give its exit status.

    1. read the settings (an error: one line, status 1)
    2. answer health and metrics
    3. run until SIGTERM or SIGINT

    `metrics` gives the text of /metrics where it is more than this process's own.
    """

    def probed(settings: Settings, health: Health, stop: Stop) -> int | None:
        text = partial(metrics, settings) if metrics else generate_latest
        with probes(settings.bind_address, settings.metrics_port(name), health, text):
            get_log().info("service started", port=settings.metrics_port(name))
            return run(settings, health, stop)

    return run_process(name, probed, Health(), Stop())


def run_process(name: str, run: Run, health: Health, stop: Stop) -> int:
    """Run one process of a service to its end and give its exit status: settings, signals, one line for an error.

    SIGUSR1 writes where each thread stands to standard error: for a process that does nothing.
    """
    configure(name)
    faulthandler.register(signal.SIGUSR1)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.request()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    try:
        status = run(Settings.from_environment(), health, stop)
    except RadStreamError as error:
        get_log().error("service ended", cause=error.cause, detail=str(error))
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201 - the one line for a person
        return EXIT_FAILED
    get_log().info("service stopped")
    return status or EXIT_OK


@contextmanager
def probes(address: str, port: int, health: Health, metrics: Callable[[], bytes] = generate_latest) -> Iterator[None]:
    """Answer /metrics, /health/live and /health/ready while the block runs; raise PortInUse."""
    try:
        server = HttpServer((address, port), _handler(health, metrics))
    except OSError as error:
        raise PortInUse(
            f"port {port} for metrics is in use on {address}: stop what listens there, "
            "or set RADSTREAM_METRICS_PORT or RADSTREAM_PORT_OFFSET"
        ) from error
    threading.Thread(target=server.serve_forever, args=(_ROUND_SECONDS,), name="probes", daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _handler(health: Health, metrics: Callable[[], bytes]) -> type[BaseHTTPRequestHandler]:
    def measured() -> tuple[HTTPStatus, str, bytes]:
        return HTTPStatus.OK, CONTENT_TYPE_LATEST, metrics()

    def live() -> tuple[HTTPStatus, str, bytes]:
        return HTTPStatus.OK, "application/json", b'{"live": true}'

    def ready() -> tuple[HTTPStatus, str, bytes]:
        waiting = health.waiting
        body = json.dumps({"ready": not waiting, "waiting": waiting, "remarks": health.remarks}).encode()
        return HTTPStatus.SERVICE_UNAVAILABLE if waiting else HTTPStatus.OK, "application/json", body

    routes: Mapping[str, Callable[[], tuple[HTTPStatus, str, bytes]]] = {
        "/metrics": measured,
        "/health/live": live,
        "/health/ready": ready,
    }

    class Probes(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = routes.get(self.path)
            status, kind, body = answer() if answer else (HTTPStatus.NOT_FOUND, "text/plain", b"not found\n")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Say nothing: probes are many and never news."""

    return Probes
