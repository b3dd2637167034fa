"""Senders that mean harm, or are only slow: each is answered or dropped in time, and others are served meanwhile."""

import socket
import time
from contextlib import closing
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from consumers.door.serve import Door
from radstream.service import Stop
from schemas.errors import PortInUse
from tests.running import until, unused_port
from tests.unit.consumers.door.site import TERMS, Site, image, opened

HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: door\r\nContent-Type: application/dicom\r\n"
PATIENCE = 20.0


def connect(site: Site) -> socket.socket:
    """Open a connection that never waits longer than a test may."""
    return socket.create_connection(("127.0.0.1", site.port), PATIENCE)


def answered(link: socket.socket) -> bytes:
    """Read until the other end closes, or the answer has come to rest."""
    data = b""
    while True:
        try:
            more = link.recv(65536)
        except ConnectionResetError:
            return data
        if not more:
            return data
        data += more


def is_served(site: Site) -> bool:
    """Say whether somebody else gets an answer."""
    return site.predict("2.0").status == 200


@pytest.mark.parametrize(
    "sent", [b"", b"POST", b"POST /v1/predict HTTP/1.1\r\nHost: d", HEAD], ids=["nothing", "word", "header", "head"]
)
def test_a_head_that_does_not_come_ends_the_connection(sent: bytes) -> None:
    """Uvicorn itself would wait for ever."""
    with opened(idle_seconds=0.3) as site, closing(connect(site)) as link:
        link.sendall(sent)

        assert answered(link) == b""
        assert is_served(site)


def test_a_head_that_comes_byte_by_byte_ends_too() -> None:
    """Its time counts as a whole: each byte does not buy more."""
    with opened(idle_seconds=1) as site, closing(connect(site)) as link:
        began = time.monotonic()

        def is_closed() -> bool:
            try:
                link.sendall(b"X")
                link.setblocking(False)
                return link.recv(1) == b""
            except BlockingIOError:
                return False
            except OSError:
                return True
            finally:
                link.setblocking(True)

        until(is_closed, PATIENCE, "still open")
        assert time.monotonic() - began >= 0.9


def test_a_body_that_stops_is_a_408() -> None:
    """And its place is free again."""
    with opened(idle_seconds=0.3, images=1) as site, closing(connect(site)) as link:
        link.sendall(HEAD + b"Content-Length: 1000\r\n\r\nhalf")

        assert answered(link).startswith(b"HTTP/1.1 408")
        assert is_served(site)


def test_a_body_that_trickles_is_a_408() -> None:
    """A byte now and then is no silence, but the whole has its time."""
    with opened(sender_seconds=1) as site, closing(connect(site)) as link:
        link.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")

        def is_refused() -> bool:
            link.sendall(b"x")
            link.setblocking(False)
            try:
                return link.recv(65536).startswith(b"HTTP/1.1 408")
            except BlockingIOError:
                return False
            finally:
                link.setblocking(True)

        until(is_refused, PATIENCE, "never refused")


@pytest.mark.parametrize("path", [b"/v1/predict", b"/nowhere"])
def test_an_endless_body_ends(path: bytes) -> None:
    """The answer comes at the limit (or at once), and who sends on is cut off soon after."""
    with opened() as site, closing(connect(site)) as link:
        link.sendall(HEAD.replace(b"/v1/predict", path) + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"8000\r\n" + bytes(0x8000) + b"\r\n"

        def is_cut_off() -> bool:
            try:
                link.sendall(chunk)
            except OSError:
                return True
            return False

        until(is_cut_off, PATIENCE, "read for ever")
        assert is_served(site)


def test_the_answer_to_a_large_body_is_not_lost() -> None:
    """Who sends more than the limit still reads why: a connection that is closed at once would lose the answer."""
    with opened() as site, closing(connect(site)) as link:
        link.sendall(HEAD + b"Content-Length: 3000000\r\n\r\n" + bytes(3_000_000))

        assert link.recv(65536).startswith(b"HTTP/1.1 413")


def test_no_body_is_asked_for_that_is_refused() -> None:
    """A client that expects 100 Continue is told the verdict instead."""
    with opened() as site, closing(connect(site)) as link:
        link.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 200000\r\n\r\n")

        assert link.recv(65536).startswith(b"HTTP/1.1 413")


def test_lying_and_malformed_heads_are_400() -> None:
    """Two lengths, a negative one, no HTTP, and more header than anybody needs."""
    heads = (
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Transfer-Encoding: gzip\r\n\r\n",
        b"X: " + bytes(100_000) + b"\r\n\r\n",
    )
    with opened(idle_seconds=2) as site:
        for head in (*(HEAD + one for one in heads), b"\x16\x03\x01 no HTTP\r\n\r\n"):
            with closing(connect(site)) as link:
                link.sendall(head)
                assert answered(link)[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 501"}, head[:120]
        assert is_served(site)


def test_connections_have_a_limit() -> None:
    """Those over it are closed at once; those below are served, and their end makes room."""
    with opened(connections=4) as site:
        idle = [connect(site) for _ in range(3)]
        assert is_served(site)
        idle.append(connect(site))

        def is_closed_at_once() -> bool:
            with closing(connect(site)) as link:
                link.sendall(HEAD)
                link.settimeout(0.2)
                try:
                    return link.recv(1) == b""
                except ConnectionResetError:
                    return True
                except TimeoutError:
                    return False

        until(is_closed_at_once, PATIENCE, "taken")
        for link in idle:
            link.close()
        until(lambda: _served_quietly(site), PATIENCE, "no room")


def _served_quietly(site: Site) -> bool:
    try:
        return is_served(site)
    except OSError:
        return False


def test_an_image_whose_sender_went_away_is_not_decoded() -> None:
    """A flood of senders that hang up leaves nothing behind."""
    with opened() as site:
        held = site.in_background("hold")
        until(lambda: site.pool.held, PATIENCE, "not begun")
        with closing(connect(site)) as link:
            content = image("-1.0")
            link.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(content) + content)
            until(lambda: site.in_hand == 2, PATIENCE, "not in hand")
        until(lambda: site.in_hand == 1, PATIENCE, "still in hand")
        site.pool.let_go()

        assert held.result(PATIENCE).status == 200
        assert is_served(site)
    assert "-1.0" not in {order for _, order in site.pool.seen}


def test_requests_under_way_are_answered_before_a_stop() -> None:
    """New ones are not taken."""
    with opened() as site:
        held = site.in_background("hold")
        until(lambda: site.pool.held, PATIENCE, "not begun")
        site.stop.request()

        def refuses() -> bool:
            try:
                connect(site).close()
            except ConnectionRefusedError:
                return True
            return False

        until(refuses, PATIENCE, "still open")
        site.pool.let_go()
        assert held.result(PATIENCE).status == 200


def test_a_stop_does_not_wait_for_ever() -> None:
    """An image that nobody answers ends in a 503, and the door's thread ends (`opened` asserts it)."""
    with opened() as site:
        held = site.in_background("hold")
        until(lambda: site.pool.held, PATIENCE, "not begun")
        began = time.monotonic()
        site.stop.request()

        assert held.result(PATIENCE).status == 503
        assert time.monotonic() - began < 15


def test_a_door_without_guests_stops_too() -> None:
    """It was never loaded."""
    with opened() as site:
        assert isinstance(site.stop, Stop)


def test_a_port_in_use_is_one_line() -> None:
    """Which port, of what, and what to set."""
    port = unused_port()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortInUse, match=rf"{port}.*RADSTREAM_PREDICT_PORT"):
        Door(replace(TERMS, port=port), CollectorRegistry())
