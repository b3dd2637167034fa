"""When forwarding yields to what arrives."""

from dicom_listener.forwarding.yielding import SHARE, Yielding
from dicom_listener.processes.board import Board


class Clock:
    """A clock that stands still until it is moved (seconds)."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _yielding(clock: Clock, *, yields: bool = True, is_filling: bool = False) -> Yielding:
    return Yielding(Board.made(1), yields=yields, is_filling=lambda: is_filling, clock=clock)


def test_nothing_waits_while_nothing_arrives() -> None:
    """Full speed at the start, and again a moment after the last object."""
    clock = Clock()
    yielding = _yielding(clock)
    assert not yielding.must_wait(0)

    yielding.receiving(1)
    yielding.receiving(-1)
    assert yielding.is_pressed()

    clock.now += 0.3
    assert not yielding.must_wait(5)


def test_under_pressure_it_works_a_tenth_of_the_time() -> None:
    """A batch under way is waited for; after it comes a rest nine times as long, then the next."""
    clock = Clock()
    yielding = _yielding(clock)
    yielding.receiving(1)
    assert not yielding.must_wait(0)

    yielding.taken()
    clock.now += 0.5
    assert yielding.must_wait(3)
    assert yielding.must_wait(0)
    clock.now += 0.5 * (1 - SHARE) / SHARE - 0.01
    assert yielding.must_wait(0)
    clock.now += 0.02
    assert not yielding.must_wait(0)


def test_what_arrives_in_another_process_is_yielded_to() -> None:
    """Two processes: the idle one waits for the busy one, and both together have the tenth."""
    clock, board = Clock(), Board.made(2)
    busy, idle = (
        Yielding(board, worker=number, yields=True, is_filling=lambda: False, clock=clock) for number in range(2)
    )
    busy.receiving(1)
    assert idle.is_pressed()

    assert not idle.must_wait(0)
    idle.taken()
    clock.now += 0.5
    assert idle.must_wait(0)
    clock.now += 0.5 * (1 - SHARE / 2) / (SHARE / 2) - 0.01
    assert idle.must_wait(0)
    clock.now += 0.02
    assert not idle.must_wait(0)


def test_a_disk_that_fills_and_an_answer_that_waits_are_never_made_to_wait() -> None:
    """Near the first watermark, and under policy published."""
    for yielding in (_yielding(Clock(), is_filling=True), _yielding(Clock(), yields=False)):
        yielding.receiving(1)
        yielding.taken()

        assert not yielding.must_wait(9)


def test_an_image_may_use_a_second_core_where_no_other_needs_it() -> None:
    """The only one of its process, and two cores for each that arrives in any."""
    board = Board.made(2)
    one, other = (
        Yielding(board, worker=number, yields=True, is_filling=lambda: False, clock=Clock()) for number in range(2)
    )
    one.receiving(1)
    assert one.leaves_cores(2)
    assert not one.leaves_cores(1)

    other.receiving(1)
    assert not one.leaves_cores(2)
    assert one.leaves_cores(4)

    one.receiving(1)
    assert not one.leaves_cores(64)
