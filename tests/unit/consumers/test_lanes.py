"""STAT first at every queue, and routine never starves (promise 4)."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from consumers.lanes import TURNS, LaneQueue, Turns
from schemas.words import Lane

BOTH = {Lane.STAT, Lane.ROUTINE}
WAITING = st.lists(st.sampled_from([{Lane.STAT}, {Lane.ROUTINE}, BOTH]), max_size=200)


@given(WAITING)
def test_only_who_waits_gets_a_turn(history: list[set[Lane]]) -> None:
    """Nobody is called who isn't there."""
    turns = Turns()

    assert all(turns.next(waiting) in waiting for waiting in history)


@given(WAITING)
def test_routine_is_passed_over_nine_times_in_a_row_at_most(history: list[set[Lane]]) -> None:
    """Of ten turns in which it waits, one is routine's, whatever comes between."""
    turns = Turns()
    passed_over = 0

    for waiting in history:
        lane = turns.next(waiting)
        if lane is Lane.ROUTINE:
            passed_over = 0
        elif Lane.ROUTINE in waiting:
            passed_over += 1
        assert passed_over < TURNS


def test_stat_has_nine_turns_of_ten_under_a_backlog_of_both() -> None:
    """Routine's tenth turn is all that a STAT image ever waits for."""
    turns = Turns()

    called = [turns.next(BOTH) for _ in range(100)]

    assert called.count(Lane.STAT) == 90


def test_a_stat_item_overtakes_queued_routine_ones() -> None:
    """Under any backlog."""
    queue: LaneQueue[str] = LaneQueue()
    for number in range(50):
        queue.put(Lane.ROUTINE, f"routine {number}")
    queue.put(Lane.STAT, "stat")

    assert queue.take() == "stat"
    assert queue.take() == "routine 0"


def test_a_closed_queue_lets_its_takers_go() -> None:
    """A thread that waits for work ends with the service."""
    queue: LaneQueue[str] = LaneQueue()
    taken: list[str | None] = []
    taker = threading.Thread(target=lambda: taken.append(queue.take()))
    taker.start()

    queue.close()
    taker.join(5)

    assert taken == [None]
