"""What parent and workers tell each other."""

import socket
from contextlib import closing

import pytest

from dicom_listener.processes.channel import (
    Answered,
    Arrived,
    Asked,
    Born,
    Channel,
    Dropped,
    Message,
    Over,
    Waiting,
    Wanted,
)

MESSAGES: list[Message] = [
    Answered(1, None),
    Answered(2, "limit"),
    Dropped(3),
    Waiting({"schemas": "registry_down"}),
    Asked(4, "CT1", verification_only=True),
    Over(5),
    Wanted(1, "0-1", 2),
    Born(4711),
    Born(None),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: type(one).__name__)
def test_a_message_comes_out_as_it_went_in(message: Message) -> None:
    """Each kind crosses the channel whole."""
    one, other = Channel.pair()
    with closing(one), closing(other):
        one.send(message)

        assert other.receive() == (message, None)


def test_a_connection_crosses_with_its_message() -> None:
    """The descriptor that comes out is the same connection."""
    one, other = Channel.pair()
    here, there = socket.socketpair()
    with closing(one), closing(other), here:
        with there:
            one.send(Arrived(1, "127.0.0.1", 5, tls=False), there.fileno())
        received = other.receive()
        assert received is not None
        message, descriptor = received

        assert message == Arrived(1, "127.0.0.1", 5, tls=False)
        assert descriptor is not None
        with socket.socket(fileno=descriptor) as handed:
            handed.send(b"alive")
            assert here.recv(5) == b"alive"


def test_the_end_of_the_other_side_is_seen() -> None:
    """None comes when the other process is gone."""
    one, other = Channel.pair()
    with closing(other):
        one.close()

        assert other.receive() is None
