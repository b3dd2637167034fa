"""Stage B: windows are exact, aligned, and revised under one id."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.pane_updated import Histogram, PaneUpdated
from schemas.tick import Tick
from schemas.window_evaluated import WindowEvaluated
from streams.features import Measure
from streams.panes import Store
from streams.references import Reference
from streams.window_book import WindowBook
from streams.windows import GRACE, WINDOW_SECONDS
from tests.unit.streams.results import NOON, pane

FIVE, HOUR, DAY = (timedelta(seconds=seconds) for seconds in WINDOW_SECONDS)


def book(store: Store | None = None, reference: Reference | None = None) -> WindowBook:
    """Give the book of partition 0 over a store."""
    return WindowBook({} if store is None else store, 0, lambda _model, _version: reference or Reference())


def tick(complete_until: datetime | None = None) -> Tick:
    """Make a tick."""
    return Tick(tick_at=complete_until or NOON, partition=0, complete_until=complete_until)


def five(windows: list[WindowEvaluated]) -> WindowEvaluated:
    """Pick the window of five minutes."""
    return next(window for window in windows if window.window_seconds == FIVE.total_seconds())


# A history: for each (partition, minute) a pane that grows; the steps of all of them in some order.
places = st.tuples(st.integers(0, 3), st.integers(0, 12))
histories = st.lists(places, min_size=1, max_size=60)


def grown(history: list[tuple[int, int]]) -> list[PaneUpdated]:
    """Turn a history of results into the panes that stage A sends, one a result."""
    counts: dict[tuple[int, int], int] = {}
    panes = []
    for offset, place in enumerate(history):
        counts[place] = counts.get(place, 0) + 1
        panes.append(pane(offset=offset, n=counts[place], partition=place[0], minute=place[1]))
    return panes


@given(histories, st.data())
def test_repeats_and_old_panes_change_nothing(history: list[tuple[int, int]], data: st.DataObject) -> None:
    """Panes sent again after a crash, older ones among them, leave each window as it is."""
    panes = grown(history)
    again = data.draw(st.lists(st.sampled_from(panes), max_size=20))
    windows = book()
    for one in [*panes, *again]:
        windows.merge(one)

    stated = windows.evaluate(tick(), 0)

    plain = book()
    for one in panes:
        plain.merge(one)
    assert stated == plain.evaluate(tick(), 0)


@given(histories, st.randoms(use_true_random=False))
def test_order_does_not_matter(history: list[tuple[int, int]], random: object) -> None:
    """Panes that arrive in any order end in the same windows: the newest of each place counts."""
    panes = grown(history)
    shuffled = list(panes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    windows, plain = book(), book()
    for one in shuffled:
        windows.merge(one)
    for one in panes:
        plain.merge(one)

    assert windows.evaluate(tick(), 0) == plain.evaluate(tick(), 0)


@given(histories, st.sets(st.integers(0, 60)))
def test_ticks_between_panes_do_not_change_the_end(history: list[tuple[int, int]], ticks: set[int]) -> None:
    """A window kept up to date pane by pane says what one merged at the end says: each result counts once."""
    windows = book()
    last: dict[object, WindowEvaluated] = {}
    for number, one in enumerate(grown(history)):
        windows.merge(one)
        if number in ticks:
            last |= {window.window_id: window for window in windows.evaluate(tick(), number)}
    last |= {window.window_id: window for window in windows.evaluate(tick(), 99)}

    day = [window for window in last.values() if window.window_seconds == DAY.total_seconds()]
    assert sum(window.n for window in day) == len(history)
    assert day[0].statistics["evaluated"] == len(history)


@given(st.integers(0, 3000))
def test_windows_tumble_aligned_to_utc(minute: int) -> None:
    """A window starts at a multiple of its length since 1970 and holds the pane's minute."""
    windows = book()
    windows.merge(pane(offset=0, n=1, minute=minute))

    for window in windows.evaluate(tick(), 0):
        assert window.window_start.timestamp() % window.window_seconds == 0
        assert window.window_start <= NOON + timedelta(minutes=minute) < window.window_end
        assert window.window_end - window.window_start == timedelta(seconds=window.window_seconds)


def test_an_open_window_is_provisional_and_revised_under_its_id() -> None:
    """Each tick that finds a change states the window again with the next revision."""
    windows = book()
    windows.merge(pane(offset=0, n=1))
    first = five(windows.evaluate(tick(), 0))
    windows.merge(pane(offset=1, n=2))

    second = five(windows.evaluate(tick(), 1))

    assert (first.revision, first.closed, first.n) == (1, False, 1)
    assert (second.revision, second.closed, second.n) == (2, False, 2)
    assert first.window_id == second.window_id


def test_nothing_is_said_when_nothing_changed() -> None:
    """A tick over quiet windows states none: a revision always means a change."""
    windows = book()
    windows.merge(pane(offset=0, n=1))
    windows.evaluate(tick(), 0)

    assert windows.evaluate(tick(), 1) == []


def test_a_window_closes_when_its_input_is_complete_past_the_grace() -> None:
    """Not at its end, and not by the clock: when all that was stable then, and a grace later, is merged."""
    windows = book()
    windows.merge(pane(offset=0, n=1))
    windows.evaluate(tick(), 0)

    early = windows.evaluate(tick(NOON + FIVE + GRACE - timedelta(microseconds=1)), 1)
    closed = windows.evaluate(tick(NOON + FIVE + GRACE), 2)

    assert early == []
    assert [(window.window_seconds, window.closed, window.revision) for window in closed] == [(300, True, 2)]


def test_a_window_stays_open_while_the_input_is_not_caught_up() -> None:
    """Without knowledge of the input nothing closes, however late it is."""
    windows = book()
    windows.merge(pane(offset=0, n=1))

    stated = windows.evaluate(Tick(tick_at=NOON + DAY * 2, partition=0, complete_until=None), 0)

    assert not any(window.closed for window in stated)


def test_a_late_pane_revises_a_closed_window() -> None:
    """For seven days a closed window is revised: closed still, with a higher revision."""
    windows = book()
    windows.merge(pane(offset=0, n=1))
    windows.evaluate(tick(NOON + HOUR / 2), 0)
    windows.merge(pane(offset=9, n=2))

    revised = five(windows.evaluate(tick(NOON + HOUR / 2), 1))

    assert (revised.closed, revised.revision, revised.n) == (True, 2, 2)


def test_late_results_are_told_and_change_no_figure() -> None:
    """What came too late stands in `late`, and nowhere else."""
    late = pane(offset=0, n=0, histograms={"late": Histogram(edges=(), counts={"too_late": 3})})
    windows = book()
    windows.merge(late)

    window = five(windows.evaluate(tick(), 0))

    assert (window.n, window.late, window.statistics["evaluated"]) == (0, 3, 0)


def test_a_restart_goes_on_with_revisions() -> None:
    """The store holds revisions and panes: a new worker continues where the old one stopped."""
    store: Store = {}
    before = book(store)
    before.merge(pane(offset=0, n=1))
    before.evaluate(tick(), 0)

    after = book(store)
    after.merge(pane(offset=1, n=3))

    assert five(after.evaluate(tick(), 1)).revision == 2


def test_a_tick_that_comes_again_states_the_same_again() -> None:
    """A crash between storing and sending: the new worker says it again under the same revision."""
    store: Store = {}
    before = book(store)
    before.merge(pane(offset=0, n=1))
    lost = before.evaluate(tick(), 5)

    assert book(store).evaluate(tick(), 5) == lost


def test_a_change_before_a_crash_is_stated_after_it() -> None:
    """That a window changed is in the store: the tick after the restart states it."""
    store: Store = {}
    book(store).merge(pane(offset=0, n=1))

    assert five(book(store).evaluate(tick(), 0)).n == 1


def test_what_nothing_can_revise_is_let_go() -> None:
    """State is bounded: eight days later neither pane nor window is kept, but the edges are."""
    store: Store = {}
    windows = book(store)
    windows.merge(pane(offset=0, n=1))
    windows.evaluate(tick(NOON + DAY * 2), 0)

    gone = windows.prune(NOON + DAY * 8 + HOUR)

    assert (gone, len(store)) == (4, 1)
    assert windows.evaluate(tick(), 1) == []


def test_young_state_is_kept() -> None:
    """Within seven days of the day's end everything stays."""
    windows = book()
    windows.merge(pane(offset=0, n=1))

    assert windows.prune(NOON + DAY * 7) == 0


def test_windows_are_compared_with_the_models_reference() -> None:
    """PSI and its kin stand beside the means where the model ships a reference over the same edges."""
    reference = Reference(Measure({"score": (0.0, 0.5, 1.0)}), {"score": {"b0": 50, "b1": 50}})
    windows = book(reference=reference)
    windows.merge(pane(offset=0, n=100))

    statistics = five(windows.evaluate(tick(), 0)).statistics

    assert statistics["score_mean"] == 0.75
    assert statistics["score_ks"] == pytest.approx(0.5)
    assert {"score_psi", "score_js", "score_w1", "score_chi_square"} <= set(statistics)


def test_without_a_reference_no_distance_is_invented() -> None:
    """A figure that can't be told is left out, and no verdict is given."""
    windows = book()
    windows.merge(pane(offset=0, n=1))

    window = five(windows.evaluate(tick(), 0))

    assert "score_psi" not in window.statistics
    assert (window.in_control, window.kind) == (None, None)


def test_slices_and_versions_stay_apart() -> None:
    """Each slice and each model version has windows of its own."""
    windows = book()
    for number, changed in enumerate(({}, {"slice": "site=a"}, {"model_version": "2.0.0"}, {"model": "hand"})):
        windows.merge(pane(offset=number, n=1, **changed))

    ids = [window.window_id for window in windows.evaluate(tick(), 0)]

    assert len(set(ids)) == len(ids) == 4 * len(WINDOW_SECONDS)


def test_each_length_divides_the_next() -> None:
    """Windows nest, so a day's figures are those of its hours."""
    assert all(long % short == 0 for short, long in pairwise(WINDOW_SECONDS))
