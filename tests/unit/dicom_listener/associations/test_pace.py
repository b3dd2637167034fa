"""Rates of senders, over all processes."""

from collections.abc import Iterator

import pytest

from dicom_listener.associations.pace import Pace
from dicom_listener.processes.board import Board
from radstream.service import Stop


class Waits(Stop):
    """Notes how long it was waited for, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, seconds: float | None = None) -> bool:
        self.seconds.append(seconds or 0.0)
        return False


@pytest.fixture
def board() -> Iterator[Board]:
    """Give what two processes share."""
    made = Board.made(2)
    yield made
    made.close()


def test_nothing_waits_without_a_rate(board: Board) -> None:
    """No rate, no wait."""
    stop = Waits()
    pace = Pace(None, None, stop, board)

    pace.image("CT1")
    pace.data("CT1", 10**9)

    assert not pace.limits
    assert stop.seconds == []


def test_a_sender_waits_for_its_own_rate_only(board: Board) -> None:
    """Who sent a second's worth waits; another sender does not."""
    stop = Waits()
    pace = Pace(2.0, None, stop, board)

    for _ in range(3):
        pace.image("CT1")
    pace.image("CT2")

    assert len(stop.seconds) == 1
    assert 0.3 < stop.seconds[0] <= 0.5


def test_two_processes_have_one_rate_for_a_sender(board: Board) -> None:
    """What one process took is gone for the other; bytes and images are counted apart."""
    stop = Waits()
    one, other = (Pace(1.0, 1000.0, stop, board) for _ in range(2))

    one.data("CT1", 1000)
    one.image("CT1")
    assert stop.seconds == []
    other.data("CT1", 1000)

    assert len(stop.seconds) == 1
    assert 0.9 < stop.seconds[0] <= 1.0


def test_no_wait_is_so_long_that_the_peer_gives_up(board: Board) -> None:
    """However far over its rate, a sender is read again after 5 s."""
    stop = Waits()

    Pace(None, 1.0, stop, board).data("CT1", 10**6)

    assert stop.seconds == [5.0]
