"""STAT first at every queue, and routine never starves (promise 4)."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from consumers.lanes import TURNS, Gate, LaneQueue, Turns
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


def test_the_gate_lets_stat_in_before_routine_that_waited_longer() -> None:
    """When the engine comes free, STAT is next."""
    gate = Gate()
    order: list[Lane] = []
    entered, leave = threading.Event(), threading.Event()

    def hold_the_door() -> None:
        with gate.passing(Lane.ROUTINE):
            entered.set()
            leave.wait(5)

    def pass_through(lane: Lane) -> None:
        with gate.passing(lane):
            order.append(lane)

    threads = [threading.Thread(target=hold_the_door)]
    threads[0].start()
    entered.wait(5)
    for lane in (Lane.ROUTINE, Lane.STAT):
        threads.append(threading.Thread(target=pass_through, args=(lane,)))
        threads[-1].start()
        while gate.waiting(lane) == 0:
            threading.Event().wait(0.001)
    leave.set()
    for thread in threads:
        thread.join(5)

    assert order == [Lane.STAT, Lane.ROUTINE]


def test_one_at_a_time_passes_the_gate() -> None:
    """The engine is never called by two threads."""
    gate = Gate()
    inside, most = 0, 0

    def pass_often(lane: Lane) -> None:
        nonlocal inside, most
        for _ in range(200):
            with gate.passing(lane):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=pass_often, args=(lane,)) for lane in (*Lane, *Lane)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert most == 1
