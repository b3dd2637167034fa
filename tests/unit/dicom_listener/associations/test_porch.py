"""Connections that wait: answered, handed over, dropped, and never a thread that dies of one."""

import queue
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from dicom_listener.associations.porch import Caller, Porch

PEER = ("127.0.0.1", 5)
REQUEST = struct.pack(">BBIH", 1, 0, 68, 3) + bytes(66)  # two versions, ours among them


@dataclass
class Seen:
    """What the porch told."""

    asked: "queue.Queue[tuple[Caller, socket.socket, bytes]]" = field(default_factory=queue.Queue)
    gone: "queue.Queue[tuple[int, str, str]]" = field(default_factory=queue.Queue)


@pytest.fixture
def seen() -> Seen:
    """Give a place for what is told."""
    return Seen()


@pytest.fixture
def porch(seen: Seen) -> Porch:
    """Give a porch whose guests may wait long."""
    porch = Porch(60.0, lambda *told: seen.asked.put(told), lambda *told: seen.gone.put(told))
    porch.start()
    return porch


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Give connections: ours and the peer's end."""
    made = [socket.socketpair() for _ in range(200)]
    yield made
    for ends in made:
        for end in ends:
            end.close()


def test_a_whole_request_is_handed_over(porch: Porch, seen: Seen, pairs: list) -> None:  # type: ignore[type-arg]
    """In whatever pieces it comes; its version is ours."""
    here, there = pairs[0]
    porch.add(1, PEER, here, None)

    for at in range(0, len(REQUEST), 7):
        there.send(REQUEST[at : at + 7])
    caller, client, request = seen.asked.get(timeout=30)

    assert (caller.connection, caller.host, caller.tls) == (1, "127.0.0.1", None)
    assert client is here
    assert request == REQUEST[:6] + b"\0\1" + REQUEST[8:]


def test_what_follows_the_request_is_left_for_the_association(porch: Porch, seen: Seen, pairs: list) -> None:  # type: ignore[type-arg]
    """Not a byte more than the request is read."""
    here, there = pairs[0]
    porch.add(1, PEER, here, None)

    there.send(REQUEST + b"more")
    seen.asked.get(timeout=30)

    assert here.recv(10) == b"more"


def test_a_crowd_that_is_dropped_while_it_speaks_ends_nothing(seen: Seen, pairs: list) -> None:  # type: ignore[type-arg]
    """Connections closed in the round in which their bytes came: each is told once, the next is served."""
    reached, go_on = threading.Event(), threading.Event()

    def busy(*told: object) -> None:
        seen.asked.put(told)  # type: ignore[arg-type]
        reached.set()
        go_on.wait(30)

    porch = Porch(60.0, busy, lambda *told: seen.gone.put(told))
    porch.start()
    crowd = list(enumerate(pairs[:-2]))
    for number, (here, _) in crowd:
        porch.add(number, PEER, here, None)
    for number, (here, there) in enumerate(pairs[-2:], start=1000):
        there.send(REQUEST)
        porch.add(number, PEER, here, None)
    assert reached.wait(30)

    for number, _ in crowd:  # the porch has them all, and is busy
        porch.drop(number, "crowded_out")
    for _, (_, there) in crowd:
        there.send(REQUEST)
    go_on.set()

    assert sorted(seen.asked.get(timeout=30)[0].connection for _ in range(2)) == [1000, 1001]
    told = [seen.gone.get(timeout=30) for _ in crowd]
    assert sorted(number for number, _, _ in told) == [number for number, _ in crowd]
    assert {cause for _, _, cause in told} == {"crowded_out"}
