"""Burrow's rules, one by one and over any window."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radstream.broker.contract import Partition
from radstream.lag.rules import Commit, CommitWindow, LagState, judge, worst

ONE, OTHER = Partition("t", 0), Partition("t", 1)


def commits(*pairs: tuple[int, int]) -> list[Commit]:
    """Make commits of (offset, lag), a second apart."""
    return [Commit(float(second), offset, lag) for second, (offset, lag) in enumerate(pairs)]


@pytest.mark.parametrize(
    ("window", "silent", "expected"),
    [
        (commits((5, 0), (5, 0)), 0, LagState.OK),
        (commits((5, 9), (14, 0)), 9, LagState.OK),  # silent, but nothing is unread
        (commits((5, 0), (5, 9)), 0, LagState.OK),  # level within the window: new work, not a stall
        (commits((5, 9), (10, 4)), 0, LagState.OK),
        (commits((5, 9), (10, 4), (12, 6)), 0, LagState.OK),  # it fell once
        (commits((5, 9), (10, 9)), 0, LagState.WARN),
        (commits((5, 9), (10, 20)), 0, LagState.WARN),
        (commits((5, 9), (5, 9)), 0, LagState.STALL),
        (commits((5, 9), (5, 20)), 0, LagState.STALL),
        (commits((5, 9), (5, 20)), 1, LagState.STALL),  # silent as long as the window, not longer
        (commits((5, 9), (5, 20)), 1.1, LagState.STOP),
        (commits((5, 0), (5, 9)), 1.1, LagState.STOP),  # it was level once, and is silent now
        (commits(), 0, LagState.STOP),
        (commits((5, 9), (3, 11)), 0, LagState.REWIND),
        (commits((5, 0), (3, 2)), 0, LagState.REWIND),
        (commits((5, 9)), 0, LagState.OK),  # one look says nothing yet
    ],
)
def test_each_rule(window: list[Commit], silent: float, expected: LagState) -> None:
    """One row a rule, and its edges."""
    now = (window[-1].at if window else 0.0) + silent

    assert judge(window, window[-1].lag if window else 1, now) is expected


def test_allowed_lag_is_ok() -> None:
    """A group may be a little behind."""
    assert judge(commits((5, 3), (5, 3)), 3, 1.0, allowed=3) is LagState.OK


PAIRS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=2, max_size=8)


@given(PAIRS, st.floats(0, 100))
def test_nothing_unread_is_always_ok(pairs: list[tuple[int, int]], silent: float) -> None:
    """Whatever the group did before."""
    window = commits(*pairs)

    assert judge(window, 0, window[-1].at + silent) is LagState.OK


@given(PAIRS)
def test_a_group_that_gains_between_any_two_commits_is_no_stall_and_no_warning(pairs: list[tuple[int, int]]) -> None:
    """With offsets that ascend, WARN and STALL need a lag that never falls."""
    ascending = sorted(offset for offset, _ in pairs)
    window = commits(*zip(ascending, (lag for _, lag in pairs), strict=True))
    falls = any(after.lag < before.lag for before, after in pairwise(window))
    moved = ascending[0] != ascending[-1]

    found = judge(window, window[-1].lag, window[-1].at)

    assert found is (LagState.STALL if not moved else LagState.OK if falls else LagState.WARN)


@given(PAIRS, st.floats(0.001, 1000))
def test_silence_beyond_the_window_is_a_stop(pairs: list[tuple[int, int]], more: float) -> None:
    """However the commits before it looked."""
    window = commits(*pairs)
    length = window[-1].at - window[0].at

    assert judge(window, 1, window[-1].at + length + more) is LagState.STOP


@given(st.lists(st.sampled_from(list(LagState))))
def test_the_worst_partition_counts_in_any_order(states: list[LagState]) -> None:
    """A group is as well as its worst partition."""
    assert worst(states) is worst(reversed(states))
    assert all(list(LagState).index(worst(states)) >= list(LagState).index(one) for one in states)


def test_one_standing_partition_is_not_hidden_by_another_that_runs() -> None:
    """The sum of a group's offsets moves; the images of one partition still wait."""
    window = CommitWindow(3)
    for second in range(3):
        window.look(float(second), {ONE: 5, OTHER: 100 + second}, {ONE: 4, OTHER: 0}, members=1)

    assert window.state(2.0, {ONE: 4, OTHER: 0}) is LagState.STALL


def test_a_group_whose_members_are_gone_stops_after_a_window() -> None:
    """The heartbeats of its members stood for commits."""
    window = CommitWindow(3)
    states = []
    for second in range(8):
        window.look(float(second), {ONE: 5}, {ONE: second}, members=int(second < 3))
        states.append(window.state(float(second), {ONE: second}))

    assert states[2] is LagState.OK  # it was level at the first look
    assert (states[4], states[5]) == (LagState.OK, LagState.STOP)


def test_a_partition_that_is_gone_is_forgotten() -> None:
    """A group that is deployed anew is judged by what it has."""
    window = CommitWindow(3)
    window.look(0.0, {ONE: 5, OTHER: 5}, {ONE: 1, OTHER: 1}, members=1)
    window.look(1.0, {OTHER: 6}, {OTHER: 0}, members=1)

    assert window.state(1.0, {ONE: 9, OTHER: 0}) is LagState.OK
