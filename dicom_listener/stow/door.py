"""STOW-RS (PS3.18 10.5): a web door to the same reception as C-STORE's.

A thread serves a connection, as it serves an association: a part's answer waits for the log, which suits no event loop.
"""

import io
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from dicom_listener import instruments
from dicom_listener.receiving.reception import Reception
from dicom_listener.receiving.terms import Sender
from dicom_listener.stow.body import BadLength, Dropped, NoLength, PatientReader, TooLarge, TooSlow, body
from dicom_listener.stow.parts import NoMultipart, Parts, TooManyParts
from dicom_listener.stow.request import Refused, StowTerms, admitted
from dicom_listener.stow.words import MEDIA_TYPE, Outcome, response_of, status_of
from radstream.http_server import HttpServer
from radstream.logs import get_log
from schemas.errors import PortInUse, SpoolFull

_RETRY_SECONDS = 10  # what Retry-After says
_CONNECTIONS_PER_REQUEST = 4  # idle ones included
_LINGER_SECONDS = 2.0
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

#: What a request that fails as a whole is answered.
STATUS_OF: Mapping[type[Exception], HTTPStatus] = {
    BadLength: HTTPStatus.BAD_REQUEST,
    NoMultipart: HTTPStatus.BAD_REQUEST,
    NoLength: HTTPStatus.LENGTH_REQUIRED,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    TooManyParts: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    TooSlow: HTTPStatus.REQUEST_TIMEOUT,
    SpoolFull: HTTPStatus.SERVICE_UNAVAILABLE,
}


class StowDoor(HttpServer):
    """Accepts requests from `start` to `stop_accepting`."""

    block_on_close = False

    def __init__(self, reception: Reception, terms: StowTerms) -> None:
        self.reception = reception
        self.terms = terms
        self.running = threading.BoundedSemaphore(terms.requests)
        self._connections = threading.BoundedSemaphore(terms.requests * _CONNECTIONS_PER_REQUEST)
        self.stopping = False
        try:
            super().__init__((terms.address, terms.port), _Handler)
        except OSError as error:
            raise PortInUse(
                f"port {terms.port} of STOW-RS can't be bound on {terms.address} (errno {error.errno}): stop what "
                "listens there, or set RADSTREAM_STOW_PORT (0: no STOW-RS) or RADSTREAM_PORT_OFFSET"
            ) from error

    def start(self) -> None:
        """Accept, in the background."""
        threading.Thread(target=self.serve_forever, args=(0.1,), name="stow", daemon=True).start()

    def stop_accepting(self) -> None:
        """Close the port; requests under way go on."""
        self.stopping = True
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection on a thread of its own, as many as the limit allows."""
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        instruments.STOW_REQUESTS.labels("503").inc()
        with suppress(OSError):
            request.settimeout(_LINGER_SECONDS)
            request.sendall(_BUSY)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """Log what ended a connection; the others go on."""
        get_log().warning("connection failed", component="stow", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: StowDoor
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "RadStream", ""

    def setup(self) -> None:
        """Put our reader, which knows the limits, before the socket."""
        super().setup()
        terms = self.server.terms
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._patient = PatientReader(self.connection, terms.idle_seconds, terms.sender_seconds)
        self.rfile = self._stream = io.BufferedReader(self._patient, 64 * 1024)
        self._expects = False

    def handle_one_request(self) -> None:
        """Serve one request; a connection that falls silent between two is closed."""
        self._patient.begin()
        self._expects = False
        try:
            super().handle_one_request()
        except (TooSlow, OSError):
            self.close_connection = True

    def handle_expect_100(self) -> bool:
        """Wait with 100 Continue until we want the body."""
        self._expects = True
        return True

    def do_POST(self) -> None:
        """Store a request's instances; the body is read when nothing else speaks against it."""
        began = time.monotonic()
        outcomes: list[Outcome] = []
        try:
            sender, boundary = admitted(self.path, self.headers, self.server.terms)
            outcomes = self._received(sender, boundary)
            status = status_of(outcomes)
        except Refused as refused:
            status = refused.status
        except tuple(STATUS_OF) as error:
            status = STATUS_OF[type(error)]
        except (Dropped, OSError):
            self.close_connection = True
            self._report("dropped", outcomes, began)
            return
        self._report(str(int(status)), outcomes, began)
        self._respond(status, response_of(outcomes) if outcomes else b"")

    def do_GET(self) -> None:
        """Refuse: nothing can be retrieved here."""
        self._report("405", [], time.monotonic())
        self._respond(HTTPStatus.METHOD_NOT_ALLOWED, b"")

    do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = do_GET  # noqa: N815 - http.server's names

    def _received(self, sender: Sender, boundary: bytes) -> list[Outcome]:
        """Bring the parts into the spool, then wait for all of them together."""
        server = self.server
        pieces = body(self.headers, self._stream, server.terms.request_bytes)
        if server.stopping or not server.running.acquire(blocking=False):
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            server.reception.admission.admit(None)
            parts = Parts(server.reception, sender, boundary, server.terms.strange)
            if self._expects:
                self.send_response_only(HTTPStatus.CONTINUE)
                self.end_headers()
            try:
                for piece in pieces:
                    parts.feed(piece)
                return parts.outcomes(time.monotonic() + server.reception.terms.deadline_seconds)
            except BaseException:
                parts.abandon()
                raise
        finally:
            server.running.release()

    def _respond(self, status: HTTPStatus, content: bytes) -> None:
        whole = status in {HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT} or bool(content)
        self.connection.settimeout(self.server.terms.idle_seconds)
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if content:
            self.send_header("Content-Type", MEDIA_TYPE)
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("Retry-After", str(_RETRY_SECONDS))
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "POST")
        if not whole:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)
        if not whole:
            self._linger()

    def _linger(self) -> None:
        """Read on for a moment: unread bytes would turn our close into a reset, and the answer would be lost."""
        self.close_connection = True
        deadline = time.monotonic() + _LINGER_SECONDS
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while (left := deadline - time.monotonic()) > 0:
                self.connection.settimeout(left)
                if not self.connection.recv(64 * 1024):
                    return

    def _report(self, status: str, outcomes: list[Outcome], began: float) -> None:
        instruments.STOW_REQUESTS.labels(status).inc()
        get_log().info(
            "stow request answered",
            status=status,
            peer=str(self.client_address[0]),
            images=len(outcomes),
            count=sum(one.failure is None for one in outcomes),
            ms=round((time.monotonic() - began) * 1000, 1),
        )

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing: a request's line quotes UIDs."""
