"""Deploying to a registry that stumbles."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from radstream.registry import deploy_schemas
from schemas.topics import RECORD_OF


@contextmanager
def registry(failures: int) -> Iterator[tuple[str, list[str]]]:
    """Serve a registry whose first answers are 500, and list what it was asked."""
    asked: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(f"{self.command} {self.path}")
            body = json.dumps({"id": 7}).encode()
            self.send_response(500 if len(asked) <= failures else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_POST = _answer  # noqa: N815 - names of http.server

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_a_deployment_goes_on_when_the_registry_answers_again() -> None:
    """Every request of it can be repeated, so a busy registry's failures cost time and nothing else."""
    with registry(failures=1) as (url, asked):
        deployed = deploy_schemas(url)

    assert deployed == dict.fromkeys(RECORD_OF, 7)
    assert asked[:2] == ["PUT /config"] * 2
