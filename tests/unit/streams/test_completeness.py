"""A moment is complete only when its input is counted and then its panes are merged."""

from datetime import timedelta

from streams.completeness import Completeness, Observation
from tests.unit.streams.results import NOON


def seen(minute: int, stable: int, counted: int, pane_ends: int, merged: int) -> Observation:
    """Observe one partition."""
    at = NOON + timedelta(minutes=minute)
    return Observation(at, {0: stable}, {0: counted}, {0: pane_ends}, {0: merged})


def test_a_quiet_system_is_complete_at_once() -> None:
    """Nothing waits anywhere: the moment of the look itself is complete."""
    assert Completeness().observe(seen(0, 5, 5, 3, 3)) == NOON


def test_nothing_is_complete_before_the_input_is_counted() -> None:
    """A backlog of results keeps every window open."""
    assert Completeness().observe(seen(0, 5, 4, 3, 3)) is None


def test_nothing_is_complete_before_the_panes_are_merged() -> None:
    """Counted is not enough: the panes may still be on their way."""
    assert Completeness().observe(seen(0, 5, 5, 3, 2)) is None


def test_an_earlier_moment_becomes_complete_while_more_comes() -> None:
    """Under steady traffic commits never reach the end of now, but they reach the end of before."""
    watch = Completeness()
    watch.observe(seen(0, 5, 3, 2, 2))
    watch.observe(seen(1, 9, 6, 4, 3))

    assert watch.observe(seen(2, 12, 8, 6, 5)) == NOON


def test_panes_are_asked_for_after_the_input_was_counted() -> None:
    """The panes' end of an earlier look would miss those of results that were counted since."""
    watch = Completeness()
    watch.observe(seen(0, 5, 3, 2, 2))

    assert watch.observe(seen(1, 9, 6, 4, 3)) is None


def test_what_was_complete_stays_complete() -> None:
    """The moment never goes back."""
    watch = Completeness()
    watch.observe(seen(0, 5, 5, 3, 3))

    assert watch.observe(seen(1, 9, 5, 3, 3)) == NOON


def test_each_partition_must_be_reached() -> None:
    """One partition that is behind holds back the whole."""
    behind = Observation(NOON, {0: 5, 1: 5}, {0: 5}, {0: 0}, {0: 0})

    assert Completeness().observe(behind) is None
