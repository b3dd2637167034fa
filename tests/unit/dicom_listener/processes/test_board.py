"""What the listener's processes share: rates of senders, and what arrives."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from dicom_listener.processes.board import Board


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 10.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Give a clock that stands still."""
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Iterator[Board]:
    """Give the board of a listener with two workers."""
    made = Board.made(2, clock)
    yield made
    made.close()


@pytest.mark.parametrize("tokens", [1, 7, 30])
def test_a_bucket_keeps_its_rate(tokens: int, board: Board, clock: Clock) -> None:
    """Whoever waits as told has at most a second's worth more than the rate allows."""
    taken = 0

    while clock.now < 110:
        taken += tokens
        clock.now += board.take("CT1", tokens, 10.0)

    assert 1000 <= taken <= 1010 + tokens


def test_a_bucket_forgets_what_was_not_used(board: Board, clock: Clock) -> None:
    """After a long silence there is one second's worth, no more."""
    board.take("CT1", 1, 10.0)

    clock.now += 1000.0

    assert board.take("CT1", 10, 10.0) == 0.0
    assert board.take("CT1", 1, 10.0) == pytest.approx(0.1)


def test_another_process_takes_from_the_same_bucket(board: Board, clock: Clock) -> None:
    """What is seen through another mapping of the memory is the same; other names have buckets of their own."""
    other = Board(os.dup(board.fileno()), 2, clock)

    board.take("CT1", 10, 10.0)

    assert other.take("CT1", 5, 10.0) == pytest.approx(0.5)
    assert other.take("CT2", 5, 10.0) == 0.0
    other.close()


def test_threads_and_processes_lose_no_token(board: Board) -> None:
    """Four take 2,000 each at the same time: the debt is the sum."""

    def take() -> None:
        for _ in range(2000):
            board.take("CT1", 1, 1.0)

    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            take()
            os._exit(0)
        children.append(child)
    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for child in children:
        os.waitpid(child, 0)

    assert board.take("CT1", 0, 1.0) == 7999


def test_a_process_that_dies_with_the_lock_holds_up_nobody(board: Board) -> None:
    """The kernel takes the lock back."""
    child = os.fork()
    if not child:
        with board._locked():  # noqa: SLF001 - the moment that can't be met from outside
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)

    assert board.take("CT1", 1, 10.0) == 0.0


def test_more_senders_than_there_is_room_for_end_nothing(board: Board, clock: Clock) -> None:
    """The least recently used is forgotten; who sends now is held to the rate."""
    for number in range(5000):
        clock.now += 0.001
        board.take(f"AE{number}", 1, 10.0)

    assert board.take("AE4999", 14, 10.0) == pytest.approx(0.5)


def test_senders_that_are_few_keep_what_they_owe(board: Board) -> None:
    """A hundred have room, whatever their names."""
    for number in range(100):
        board.take(f"AE{number}", 14, 10.0)

    assert {board.take(f"AE{number}", 0, 10.0) for number in range(100)} == {0.4}


def test_what_arrives_in_one_process_is_seen_in_all_until_it_dies(board: Board) -> None:
    """Each writes its own line; the line of a dead one is cleared."""
    board.arriving(1, 3, 8.0)
    board.arriving(0, 0, 9.0)
    assert board.arrivals() == (3, 9.0)

    board.forget(1)

    assert board.arrivals() == (0, 9.0)
