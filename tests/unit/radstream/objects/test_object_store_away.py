"""A broken object store is "away", which holds the lane, and never "missing" or "corrupt", which are for ever."""

import ssl
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from radstream.objects.fetch import Fetcher
from schemas.errors import ObjectMissing, ObjectStoreDown
from tests.certificates import Authority
from tests.unit.radstream.stores import BODY, SIZE, Answer, nothing, overloaded, say, send_whole, serving, store

KEY = "instances/ab/ab.dcm"


def cut_short(door: BaseHTTPRequestHandler, _over: threading.Event) -> None:
    """Promise more bytes than come."""
    door.send_response(HTTPStatus.OK)
    door.send_header("Content-Length", str(SIZE))
    door.end_headers()
    door.wfile.write(bytes(SIZE // 2))


def whole_and_goodbye(door: BaseHTTPRequestHandler, _over: threading.Event) -> None:
    """Promise to keep the connection, and close it."""
    door.protocol_version = "HTTP/1.1"
    send_whole(door)
    door.close_connection = True


def silent(_door: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Take the question and never answer."""
    over.wait(30)


def silent_in_the_middle(door: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Stop answering after half."""
    cut_short(door, over)
    door.wfile.flush()
    over.wait(30)


def a_proxy_s_page(door: BaseHTTPRequestHandler, _over: threading.Event) -> None:
    """Answer 404 as a proxy without its server does: that is no word of the object store."""
    say(door, HTTPStatus.NOT_FOUND, b"<html>no upstream</html>", "text/html")


def gibberish(door: BaseHTTPRequestHandler, _over: threading.Event) -> None:
    """Answer in another language, as a port that another server took does."""
    door.wfile.write(b"220 mail.example ESMTP\r\n\r\n")


def without_a_size(door: BaseHTTPRequestHandler, _over: threading.Event) -> None:
    """Send all, and end it by closing the connection."""
    door.send_response(HTTPStatus.OK)
    door.end_headers()
    door.wfile.write(BODY)


def missing(door: BaseHTTPRequestHandler, _over: threading.Event) -> None:
    """Say that the key is not there."""
    say(door, HTTPStatus.NOT_FOUND, b"<Error><Code>NoSuchKey</Code></Error>")


@pytest.mark.parametrize("answer", [cut_short, silent, silent_in_the_middle, overloaded, a_proxy_s_page, gibberish])
def test_a_store_that_is_broken_is_away(answer: Answer) -> None:
    """Retriable: the image waits for it."""
    with store(answer) as objects, pytest.raises(ObjectStoreDown):
        objects.get(KEY)
    with store(answer) as objects, pytest.raises(ObjectStoreDown):
        objects.get_into(KEY, memoryview(bytearray(SIZE)))


def test_only_the_store_s_own_word_makes_an_object_missing() -> None:
    """Permanent: NoSuchKey, in the store's own form."""
    with store(missing) as objects, pytest.raises(ObjectMissing):
        objects.get(KEY)
    with store(missing) as objects, pytest.raises(ObjectMissing):
        objects.get_into(KEY, memoryview(bytearray(SIZE)))


@pytest.mark.parametrize("answer", [silent, overloaded, a_proxy_s_page, gibberish])
def test_a_store_that_does_not_take_an_object_is_away(answer: Answer) -> None:
    """Only 200 says that it was stored."""
    with store(answer) as objects, pytest.raises(ObjectStoreDown):
        objects.put(KEY, BytesIO(b"map"), 3)
    with store(answer) as objects, pytest.raises(ObjectStoreDown):
        objects.put_all({KEY: b"map"})


def test_an_object_whose_size_is_not_said_comes_whole() -> None:
    """The client reads it."""
    with store(without_a_size) as objects:
        room = bytearray(SIZE)

        assert (objects.get_into(KEY, memoryview(room)), bytes(room)) == (SIZE, BODY)


def test_a_kept_connection_that_the_store_closed_is_opened_again() -> None:
    """Servers close what is idle; the image must not wait for a retry."""
    with store(whole_and_goodbye) as objects:
        for _ in range(3):
            room = bytearray(SIZE)
            assert objects.get_into(KEY, memoryview(room)) == SIZE
            assert room == BODY
            objects.put(KEY, BytesIO(b"map"), 3)


def test_over_tls_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an authority that the machine trusts, and by no other."""
    authority = Authority(tmp_path)

    def whole(door: BaseHTTPRequestHandler, _over: threading.Event) -> None:
        send_whole(door)

    with serving(whole, authority.issue("store")) as port:
        url = f"https://localhost:{port}/radstream/{KEY}?X-Amz-Signature=0"
        with pytest.raises(ssl.SSLCertVerificationError):
            Fetcher(urlsplit(url), 5, 5).get_into(url, memoryview(bytearray(SIZE)))
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
        room = bytearray(SIZE)

        assert (Fetcher(urlsplit(url), 5, 5).get_into(url, memoryview(room)), bytes(room)) == (SIZE, BODY)


def test_connections_are_kept() -> None:
    """A new one for each image would cost a round trip, and over TLS some milliseconds."""
    peers: set[object] = set()

    def whole(door: BaseHTTPRequestHandler, _over: threading.Event) -> None:
        peers.add(door.client_address)
        door.protocol_version = "HTTP/1.1"
        if door.command == "GET":
            send_whole(door)
        else:
            nothing(door)
        door.close_connection = False

    with store(whole) as objects:
        for _ in range(3):
            assert objects.get_into(KEY, memoryview(bytearray(SIZE))) == SIZE
            objects.put(KEY, BytesIO(b"map"), 3)

    assert len(peers) == 1
