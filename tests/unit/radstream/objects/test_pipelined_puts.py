"""Small objects that are put together: many requests under way, and each answered once."""

import threading
from http.server import BaseHTTPRequestHandler
from socketserver import StreamRequestHandler
from urllib.parse import urlsplit

import pytest

from radstream.objects.fetch import PIPELINED, Fetcher
from schemas.errors import ObjectStoreDown
from tests.unit.radstream.stores import client, nothing, overloaded, send_whole, served, serving, store

#: More than one connection takes.
MAPS = {f"maps/{number}.png": b"map" * number for number in range(2 * PIPELINED)}


def test_many_puts_are_under_way_before_the_first_is_answered() -> None:
    """Here the store answers nothing before it has all that a connection takes: one by one would wait for ever."""
    keys: list[str] = []

    class Patient(StreamRequestHandler):
        def handle(self) -> None:
            for _ in range(PIPELINED):
                keys.append(self.rfile.readline().split()[1].partition(b"?")[0].decode())
                head = b"".join(iter(self.rfile.readline, b"\r\n"))
                self.rfile.read(int(head.lower().partition(b"content-length: ")[2].split()[0]))
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" * PIPELINED)

    with served(Patient) as port, client(port) as objects:
        objects.put_all(MAPS)

    assert sorted(keys) == sorted(f"/radstream/{key}" for key in MAPS)


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_a_store_that_ends_its_connections_is_asked_again_for_the_rest(version: str) -> None:
    """Whether it says so beforehand, and leaves it to us, or does it; what was answered is not sent again."""
    put: list[str] = []

    def one_and_goodbye(door: BaseHTTPRequestHandler, over: threading.Event) -> None:
        put.append(door.path.partition("?")[0])
        door.protocol_version = version
        nothing(door)
        door.close_connection = True
        if version == "HTTP/1.0":
            over.wait(30)

    with store(one_and_goodbye) as objects:
        for _ in range(2):
            objects.put_all(MAPS)

    assert sorted(put) == sorted([f"/radstream/{key}" for key in MAPS] * 2)


def test_one_of_many_that_is_not_taken_is_a_store_that_is_away() -> None:
    """The answers behind it are read as what they are, and nothing is asked twice."""
    asked: list[str] = []

    def all_but_the_third(door: BaseHTTPRequestHandler, over: threading.Event) -> None:
        asked.append(door.path)
        door.protocol_version = "HTTP/1.1"
        overloaded(door, over) if "maps/2." in door.path else send_whole(door)
        door.close_connection = False

    with store(all_but_the_third) as objects, pytest.raises(ObjectStoreDown):
        objects.put_all(MAPS)
    with serving(all_but_the_third) as port:
        fetcher = Fetcher(urlsplit(f"http://127.0.0.1:{port}"), 5, 5)

        statuses = fetcher.put_all([(f"http://127.0.0.1:{port}/{key}", body) for key, body in MAPS.items()])

    assert len(asked) == 2 * len(MAPS)
    assert statuses == [503 if key == "maps/2.png" else 200 for key in MAPS]
