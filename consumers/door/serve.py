"""The door's thread: it holds the port from the start, and loads the web framework when somebody first comes.

FastAPI, pydantic and uvicorn take 30 MB and half a second; a process that nobody asks by HTTP pays neither.
"""

import logging
import select
import socket
from importlib.util import find_spec

from prometheus_client import REGISTRY, CollectorRegistry

from consumers.door.desk import Desk
from consumers.door.meters import DoorMeters
from consumers.door.terms import DoorTerms
from consumers.door.tokens import Tokens
from radstream.logs import get_log
from radstream.service import Stop
from schemas.errors import PortInUse, SettingInvalid

_WATCH_SECONDS = 0.2
_BACKLOG = 128
#: What a stop leaves to requests under way, within the service's ten seconds.
_GRACE_SECONDS = 4
_MOST_HEAD_BYTES = 32 * 1024


class Door:
    """Holds the port; `run` answers until asked to stop."""

    def __init__(self, terms: DoorTerms, registry: CollectorRegistry = REGISTRY) -> None:
        """Take the port; raise PortInUse, or SettingInvalid for a door that can't be opened as set."""
        self._terms = terms
        self._meters = DoorMeters(registry)
        self._tokens = None if terms.tokens is None else Tokens(terms.tokens)
        if find_spec("fastapi") is None or find_spec("uvicorn") is None:
            raise SettingInvalid(
                f"RADSTREAM_PREDICT_PORT={terms.port} needs FastAPI and uvicorn: install the extra inference-cpu or "
                "inference-gpu, or set RADSTREAM_PREDICT_PORT=0 (no prediction door)"
            )
        family = socket.AF_INET6 if ":" in terms.address else socket.AF_INET
        try:
            self._socket = socket.create_server((terms.address, terms.port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise PortInUse(
                f"port {terms.port} of the prediction door can't be bound on {terms.address} (errno {error.errno}): "
                "stop what listens there, or set RADSTREAM_PREDICT_PORT (0: no door) or RADSTREAM_PORT_OFFSET"
            ) from error

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()

    def run(self, desk: Desk, stop: Stop) -> None:
        """Answer until asked to stop; then requests under way have a few seconds.

        1. wait for the first connection
        2. load the framework
        3. serve
        """
        get_log().info("prediction door opened", port=self._terms.port)
        while not select.select([self._socket], [], [], _WATCH_SECONDS)[0]:
            if stop.requested:
                return
        self._serve(desk, stop)

    def _serve(self, desk: Desk, stop: Stop) -> None:
        """Run uvicorn in this thread, where it leaves the signals alone."""
        import uvicorn  # noqa: PLC0415 - loaded when somebody comes

        from consumers.door.app import Counted, Parts, app_of  # noqa: PLC0415 - as above
        from consumers.door.connection import limited  # noqa: PLC0415 - as above

        class Server(uvicorn.Server):
            async def on_tick(self, counter: int) -> bool:
                """Look each tenth of a second whether the service stops."""
                return stop.requested or await super().on_tick(counter)

        terms, meters = self._terms, self._meters
        parts = Parts(desk=desk, terms=terms, tokens=self._tokens, meters=meters, stopping=lambda: stop.requested)
        # Its lines quote what senders wrote; what matters of them we log ourselves.
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL + 1)
        config = uvicorn.Config(
            Counted(app_of(parts), meters),
            http=limited(terms.idle_seconds, terms.connections),
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=_MOST_HEAD_BYTES,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        Server(config).run(sockets=[self._socket])
