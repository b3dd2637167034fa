"""The one loop: what becomes of messages, whatever fails."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

import pytest

from consumers.lanes.right_of_way import SEEN_SECONDS, RightOfWay
from consumers.loop.handler import LoopLimits
from radstream.service import Stop
from schemas.errors import BadMessage, Fenced, ObjectMissing, ObjectStoreDown, PostgresDown
from schemas.words import Lane
from tests.unit.consumers.conftest import DEAD, GROUP, OUTPUT, Desk

AWAY = ObjectStoreDown("away")


def test_results_and_offsets_become_visible_together(desk: Desk) -> None:
    """A batch is published in one transaction with the offset behind it."""
    loop = desk.loop()
    desk.send("a", "b")

    desk.turn(loop)

    assert (desk.read(OUTPUT), desk.committed) == (["A", "B"], 2)


def test_a_message_for_others_moves_the_offset_alone(desk: Desk) -> None:
    """What is to be passed by leaves no record and is not read again."""
    loop = desk.loop()
    desk.send("skip")

    desk.turn(loop)

    assert (desk.read(OUTPUT), desk.read(DEAD), desk.committed) == ([], [], 1)


def test_nothing_newer_of_a_partition_is_committed_before_the_oldest_is_done(desk: Desk) -> None:
    """An offset says that everything before it is done."""
    desk.script.waiting["slow"] = slow = Future()
    loop = desk.loop()
    desk.send("slow", "quick")

    desk.turn(loop, times=3)
    assert (desk.read(OUTPUT), desk.committed) == ([], 0)
    slow.set_result("slow")
    desk.turn(loop)

    assert (desk.read(OUTPUT), desk.committed) == (["SLOW", "QUICK"], 2)


def test_routine_opens_no_transaction_while_a_stat_image_is_in_hand(desk: Desk) -> None:
    """The broker works for one at a time; the hand empties, and routine goes on."""
    way = RightOfWay(lambda: desk.now)
    desk.way = way.of(Lane.ROUTINE)
    loop = desk.loop()
    way.of(Lane.STAT).in_hand(1)
    desk.send("a")

    desk.turn(loop, times=2)
    before = desk.read(OUTPUT)
    way.of(Lane.STAT).in_hand(0)
    desk.turn(loop)
    unseen = desk.read(OUTPUT)
    desk.now += SEEN_SECONDS
    desk.turn(loop)

    assert (before, unseen, desk.read(OUTPUT)) == ([], [], ["A"])


def test_a_stat_lane_says_what_it_has_in_hand(desk: Desk) -> None:
    """From the poll until its result has been seen; while a server is away it holds nobody up."""
    now = [0.0]
    way = RightOfWay(lambda: now[0])
    desk.way = way.of(Lane.STAT)
    desk.script.waiting["slow"] = slow = Future()
    loop = desk.loop()
    seen = []
    desk.send("slow")

    desk.turn(loop)
    seen.append(way.held_s() > 0)
    slow.set_result("slow")
    desk.turn(loop)
    now[0] += SEEN_SECONDS
    seen.append(way.held_s() > 0)
    desk.script.begin_errors["away"] = [AWAY] * 99
    desk.send("away")
    desk.turn(loop, times=20, seconds=2)
    now[0] += SEEN_SECONDS
    seen.append(way.held_s() > 0)

    assert seen == [True, False, False]


def test_a_slow_image_holds_up_its_own_partition_only(desk: Desk) -> None:
    """Other studies go on."""
    desk.script.waiting["slow"] = Future()
    loop = desk.loop()
    desk.send("slow")
    desk.send("other", partition=1)

    desk.turn(loop, times=2)

    assert desk.read(OUTPUT) == ["OTHER"]


def test_a_permanent_failure_is_dead_lettered_with_its_offset(desk: Desk) -> None:
    """The stream goes on behind it."""
    desk.script.begin_errors["bad"] = [ObjectMissing("gone")]
    loop = desk.loop()
    desk.send("bad", "good")

    desk.turn(loop)

    assert (desk.read(DEAD), desk.read(OUTPUT), desk.committed) == (["bad:object_missing"], ["GOOD"], 2)


def test_an_unforeseen_error_is_dead_lettered_as_internal(desk: Desk) -> None:
    """A bug in a handler does not stop the stream."""
    desk.script.begin_errors["bad"] = [KeyError("bug")]
    loop = desk.loop()
    desk.send("bad")

    desk.turn(loop)

    assert desk.read(DEAD) == ["bad:internal"]


def test_a_retriable_failure_is_tried_again_after_a_while(desk: Desk) -> None:
    """Not at once, and nothing is lost."""
    desk.script.begin_errors["a"] = [AWAY]
    loop = desk.loop()
    desk.send("a")

    desk.turn(loop, times=5)
    assert desk.script.begun == ["a"]
    desk.turn(loop, times=2, seconds=0.1)

    assert (desk.read(OUTPUT), desk.read(DEAD)) == (["A"], [])


def test_a_server_that_stays_away_holds_the_lane_without_loss(desk: Desk) -> None:
    """Not ready while held, ready again after; never a dead letter."""
    desk.script.begin_errors["a"] = [AWAY] * 9
    loop = desk.loop()
    desk.send("a")

    desk.turn(loop, times=7, seconds=2)
    assert desk.health.waiting == {GROUP: "held: object_store_down"}
    desk.send("b")
    desk.turn(loop, times=10, seconds=2)

    assert (desk.read(OUTPUT), desk.read(DEAD), desk.health.waiting) == (["A", "B"], [], {})


def test_a_held_lane_goes_on_polling(desk: Desk) -> None:
    """A member that doesn't poll loses its partitions after max.poll.interval."""
    desk.script.begin_errors["a"] = [AWAY] * 1_000
    loop = desk.loop()
    desk.send("a")

    desk.turn(loop, times=60, seconds=2)

    assert desk.broker.groups[GROUP].members[0].polls >= 10


def test_a_batch_that_the_handler_can_not_store_yet_is_kept(desk: Desk) -> None:
    """PostgreSQL away: the same batch is finished later, once."""
    desk.script.finish_errors = [PostgresDown("away")] * 7
    loop = desk.loop()
    desk.send("a", "b")

    desk.turn(loop, times=7, seconds=2)
    assert desk.health.waiting == {GROUP: "held: postgres_down"}
    desk.turn(loop, times=2, seconds=2)

    assert (desk.script.batches, desk.committed, desk.health.waiting) == ([["a", "b"]], 2, {})


def test_one_poisoned_message_takes_only_itself(desk: Desk) -> None:
    """When a batch fails for no foreseen reason, each message is finished alone."""
    desk.script.poison = {"bad"}
    loop = desk.loop()
    desk.send("a", "bad", "b")

    desk.turn(loop)

    assert (desk.read(OUTPUT), desk.read(DEAD), desk.committed) == (["A", "B"], ["bad:internal"], 3)


def test_an_aborted_batch_is_read_again(desk: Desk) -> None:
    """Everything in hand comes back from the log, and is published once."""
    loop = desk.loop(aborts=2)
    desk.send("a", "b", "c")

    desk.turn(loop, times=9, seconds=0.3)

    assert (desk.read(OUTPUT), desk.committed) == (["A", "B", "C"], 3)


def test_a_fenced_process_ends(desk: Desk) -> None:
    """Another has taken its slot: going on would be a second voice."""
    old = desk.loop()
    desk.turn(old)
    desk.loop()
    desk.send("a")

    with pytest.raises(Fenced):
        desk.turn(old, times=3)


def test_what_another_member_took_over_is_not_published(desk: Desk) -> None:
    """In a rebalance the lost partitions' messages leave the window."""
    desk.script.waiting["slow"] = slow = Future()
    loop = desk.loop("group.0")
    desk.send("slow", partition=1)
    desk.turn(loop)
    other = desk.broker.reader(GROUP, ["in"], lambda _lost: None)
    other.poll(0, 0)

    desk.turn(loop)
    slow.set_result("slow")
    desk.turn(loop, times=2)

    assert desk.read(OUTPUT) == []
    assert [message.value for message in other.poll(9, 0)] == [b"slow"]


def test_a_revocation_in_mid_batch_drops_what_was_revoked_and_nothing_else(desk: Desk) -> None:
    """What is under way for a partition that stays is neither begun again nor lost."""
    waiting = desk.script.waiting
    waiting["a"], waiting["b"] = Future(), Future()
    loop = desk.loop("group.0")
    desk.send("a", partition=0)
    desk.send("b", partition=1)
    desk.turn(loop)
    other = desk.broker.reader(GROUP, ["in"], lambda _lost: None)
    other.poll(0, 0)
    desk.turn(loop)
    (taken,) = other.owned()
    kept = "b" if taken.number == 0 else "a"

    for value, future in waiting.items():
        future.set_result(value)
    desk.turn(loop, times=2)

    assert desk.read(OUTPUT) == [kept.upper()]
    assert desk.script.begun == ["a", "b"]


def test_too_many_dead_in_a_row_open_the_breaker(desk: Desk) -> None:
    """The third is not rerouted: it and what follows stay in the log."""
    for value in "abcd":
        desk.script.begin_errors[value] = [BadMessage("bad")] * 9
    desk.limits = replace(desk.limits, batch=1)
    loop = desk.loop()
    desk.send("a", "b", "c", "d")

    desk.turn(loop, times=20, seconds=1)

    assert (desk.read(DEAD), desk.committed) == (["a:bad_message", "b:bad_message"], 2)
    assert desk.breakers.causes == {GROUP: "bad_message"}
    assert "breaker open" in desk.health.waiting[GROUP]


def test_a_good_message_between_keeps_the_breaker_closed(desk: Desk) -> None:
    """A row is a row."""
    for value in "abcd":
        desk.script.begin_errors[value] = [BadMessage("bad")]
    loop = desk.loop()
    desk.send("a", "b", "good", "c", "d")

    desk.turn(loop)

    assert (len(desk.read(DEAD)), desk.breakers.causes) == (4, {})


def test_a_restart_does_not_close_the_breaker_and_resume_does(desk: Desk) -> None:
    """A person decides; then the messages are handled from where the group stood."""
    desk.breakers.open(GROUP, "undecodable")
    desk.send("a")
    loop = desk.loop()

    loop.recall_breaker(Stop())
    desk.turn(loop, times=3, seconds=1)
    assert desk.read(OUTPUT) == []
    desk.breakers.causes.clear()
    desk.turn(loop, times=3, seconds=1)

    assert desk.read(OUTPUT) == ["A"]


def test_the_window_bounds_what_is_in_hand(desk_of: Callable[[LoopLimits], Desk]) -> None:
    """A backlog stays in the log, not in memory."""
    desk = desk_of(LoopLimits(window=4, batch=2, idle_poll_s=0, busy_wait_s=0))
    desk.script.waiting = {str(number): Future() for number in range(20)}
    loop = desk.loop()
    desk.send(*map(str, range(20)))

    desk.turn(loop, times=5)

    assert desk.script.begun == ["0", "1", "2", "3"]


def test_stop_gives_back_what_is_in_hand(desk: Desk) -> None:
    """Nothing uncommitted is lost: the next member reads it."""
    desk.script.waiting["slow"] = Future()
    loop = desk.loop()
    desk.send("slow")
    desk.turn(loop)
    stop = Stop()
    stop.request()

    loop.run(stop)
    desk.script.waiting.clear()
    desk.turn(desk.loop())

    assert desk.read(OUTPUT) == ["SLOW"]


def test_finished_work_waits_for_more_to_share_a_transaction(desk_of: Callable[[LoopLimits], Desk]) -> None:
    """While something is under way: until the batch is full, or until its age."""
    desk = desk_of(LoopLimits(window=8, batch=3, age_s=1.0, idle_poll_s=0, busy_wait_s=0))
    slow: Future[str | None] = Future()
    desk.script.waiting["slow"] = slow
    loop = desk.loop()
    desk.send("a", "b")
    desk.send("slow", partition=1)

    desk.turn(loop, 3, seconds=0.2)
    waited = desk.read(OUTPUT)
    desk.turn(loop, 3, seconds=0.5)

    assert (waited, desk.read(OUTPUT)) == ([], ["A", "B"])


def test_behind_a_backlog_finished_work_waits_longer_for_more(desk_of: Callable[[LoopLimits], Desk]) -> None:
    """While the window is full: nobody sees a result late for it, and the broker has fewer transactions."""
    desk = desk_of(LoopLimits(window=4, batch=3, age_s=1.0, backlog_age_s=5.0, idle_poll_s=0, backlog_wait_s=0))
    desk.script.waiting |= {"slow": Future(), "slower": Future()}
    loop = desk.loop()
    desk.send("a", "b")
    desk.send("slow", "slower", partition=1)

    desk.turn(loop, 4, seconds=1.0)
    waited = desk.read(OUTPUT)
    desk.turn(loop, 3, seconds=1.0)

    assert (waited, desk.read(OUTPUT)) == ([], ["A", "B"])


def test_a_full_batch_waits_for_nothing(desk_of: Callable[[LoopLimits], Desk]) -> None:
    """Nor does the last work in hand."""
    desk = desk_of(LoopLimits(window=8, batch=2, age_s=1000.0, idle_poll_s=0, busy_wait_s=0))
    loop = desk.loop()
    desk.send("a", "b", "c")

    desk.turn(loop, 2)

    assert desk.read(OUTPUT) == ["A", "B", "C"]
