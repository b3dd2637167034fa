"""STAT first at every queue, and routine never starves (promise 4)."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from consumers.lanes.queue import EVERYBODY, STAT_ALONE, TURNS, LaneQueue, Turns
from consumers.lanes.right_of_way import HOLD_SECONDS, SEEN_SECONDS, RightOfWay
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


@given(WAITING, st.data())
def test_routine_gets_its_tenth_turn_while_it_is_held(history: list[set[Lane]], data: st.DataObject) -> None:
    """Whoever takes: nine STAT images in a row, then who takes both takes routine, held or not."""
    turns = Turns()
    passed_over = 0

    for waiting in history:
        taken = data.draw(st.sampled_from([EVERYBODY, STAT_ALONE]))
        lane = turns.choose(waiting, taken, held=True)
        assert lane is None or lane in waiting & taken
        if lane is Lane.ROUTINE:
            assert passed_over >= TURNS - 1
            passed_over = 0
        elif Lane.ROUTINE in waiting:
            assert taken == STAT_ALONE or passed_over < TURNS - 1
            passed_over += lane is Lane.STAT


def test_routine_stands_still_while_a_stat_image_is_in_hand() -> None:
    """Nothing new is begun, and it goes on when the hand is empty and the result has been seen."""
    now = [0.0]
    way = RightOfWay(lambda: now[0])
    queue: LaneQueue[str] = LaneQueue(way)
    taken: list[str | None] = []
    way.of(Lane.STAT).in_hand(1)
    queue.put(Lane.ROUTINE, "routine")
    taker = threading.Thread(target=lambda: taken.append(queue.take()))
    taker.start()

    taker.join(5 * HOLD_SECONDS)
    assert taken == []
    way.of(Lane.STAT).in_hand(0)
    taker.join(5 * SEEN_SECONDS)
    assert taken == []
    now[0] = SEEN_SECONDS
    taker.join(5)

    assert taken == ["routine"]


def test_who_waits_is_told_once_when_the_hand_is_empty() -> None:
    """Routine goes on when the result has been seen, not when its patience ends."""
    way = RightOfWay(lambda: 0.0)
    told: list[float] = []
    way.whenever_clear(lambda: told.append(way.held_s()))

    for count in (0, 1, 2, 1, 0, 0):
        way.of(Lane.STAT).in_hand(count)

    assert told == [SEEN_SECONDS]


def test_a_stat_lane_that_is_never_empty_holds_nobody_for_long() -> None:
    """What it is owed after that, the turns decide."""
    now = [0.0]
    way = RightOfWay(lambda: now[0])
    queue: LaneQueue[str] = LaneQueue(way)
    queue.put(Lane.ROUTINE, "routine")

    way.of(Lane.STAT).in_hand(1)
    now[0] = HOLD_SECONDS
    way.of(Lane.STAT).in_hand(2)

    assert queue.take() == "routine"


def test_stat_images_that_follow_each_other_at_once_hold_nobody_for_longer_than_one() -> None:
    """They are one stretch: routine, which the gaps between them are too short for, goes on when it ends."""
    now = [0.0]
    way = RightOfWay(lambda: now[0])
    image, gap = HOLD_SECONDS / 4, SEEN_SECONDS / 2
    free = []

    for _ in range(12):
        way.of(Lane.STAT).in_hand(1)
        now[0] += image
        free.append(way.held_s() == 0.0)
        way.of(Lane.STAT).in_hand(0)
        now[0] += gap

    assert free.count(True) == 3


def test_a_thread_kept_for_stat_takes_nothing_else() -> None:
    """It waits for the next STAT image, whatever else waits."""
    queue: LaneQueue[str] = LaneQueue()
    queue.put(Lane.ROUTINE, "routine")
    taken: list[str | None] = []
    taker = threading.Thread(target=lambda: taken.append(queue.take(STAT_ALONE)))
    taker.start()

    queue.put(Lane.STAT, "stat")
    taker.join(5)

    assert taken == ["stat"]
    assert queue.take() == "routine"


def test_a_closed_queue_lets_its_takers_go() -> None:
    """A thread that waits for work ends with the service."""
    queue: LaneQueue[str] = LaneQueue()
    taken: list[str | None] = []
    taker = threading.Thread(target=lambda: taken.append(queue.take()))
    taker.start()

    queue.close()
    taker.join(5)

    assert taken == [None]
