"""Object stores that answer as a test wants, over real sockets."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit

import urllib3
from minio import Minio

from radstream.objects.fetch import Fetcher
from radstream.objects.stores import S3Objects

SIZE = 100_000
BODY = bytes(range(250)) * (SIZE // 250)
Answer = Callable[[BaseHTTPRequestHandler, threading.Event], None]


def send_whole(door: BaseHTTPRequestHandler) -> None:
    """Send all that is promised."""
    door.send_response(HTTPStatus.OK)
    door.send_header("Content-Length", str(SIZE))
    door.end_headers()
    door.wfile.write(BODY)


def nothing(door: BaseHTTPRequestHandler) -> None:
    """Say that it was done, as S3 answers a put."""
    door.send_response(HTTPStatus.OK)
    door.send_header("Content-Length", "0")
    door.end_headers()


def say(door: BaseHTTPRequestHandler, status: HTTPStatus, body: bytes, kind: str = "application/xml") -> None:
    """Answer with a word of explanation."""
    door.send_response(status)
    door.send_header("Content-Type", kind)
    door.send_header("Content-Length", str(len(body)))
    door.end_headers()
    door.wfile.write(body)


def overloaded(door: BaseHTTPRequestHandler, _over: threading.Event) -> None:
    """Ask for patience, as S3 does."""
    say(door, HTTPStatus.SERVICE_UNAVAILABLE, b"<Error><Code>SlowDown</Code></Error>")


@contextmanager
def served(door: type[StreamRequestHandler], certificate: Path | None = None) -> Iterator[int]:
    """Serve, over TLS with a certificate; give the port."""
    server = ThreadingTCPServer(("127.0.0.1", 0), door)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def serving(answer: Answer, certificate: Path | None = None) -> Iterator[int]:
    """Serve a store that answers so; give its port."""
    over = threading.Event()

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, over)

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self, over)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Say nothing."""

    with served(Door, certificate) as port:
        yield port
        over.set()


@contextmanager
def client(port: int) -> Iterator[S3Objects]:
    """Give the adapter to a store; it waits half a second for a byte."""
    pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=5, read=0.5), retries=urllib3.Retry(total=0, redirect=0))
    address = f"127.0.0.1:{port}"
    minio = Minio(address, access_key="a", secret_key="b", secure=False, region="us-east-1", http_client=pool)
    yield S3Objects(minio, "radstream", Fetcher(urlsplit(f"http://{address}"), 5, 0.5))
    pool.clear()


@contextmanager
def store(answer: Answer) -> Iterator[S3Objects]:
    """Give the adapter to a store that answers so."""
    with serving(answer) as port, client(port) as objects:
        yield objects
