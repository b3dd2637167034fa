"""Histograms merge exactly, whatever the order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.histograms import NAN, OVER, UNDER, bin_of, dense, mean, merged, without

EDGES = (0.0, 0.25, 0.5, 1.0)
BINS = [UNDER, "b0", "b1", "b2", OVER, NAN]
histograms = st.dictionaries(st.sampled_from(BINS), st.integers(1, 1000))
values = st.lists(st.one_of(st.floats(-2, 2), st.just(float("nan"))), max_size=50)


def counted(some: list[float]) -> dict[str, int]:
    """Count values one by one."""
    counts: dict[str, int] = {}
    for value in some:
        counts = merged(counts, {bin_of(value, EDGES): 1})
    return counts


@given(histograms, histograms, histograms)
def test_merge_is_associative(a: dict[str, int], b: dict[str, int], c: dict[str, int]) -> None:
    """Panes may be merged in any grouping."""
    assert merged(merged(a, b), c) == merged(a, merged(b, c))


@given(histograms, histograms)
def test_merge_is_commutative(a: dict[str, int], b: dict[str, int]) -> None:
    """Panes may be merged in any order."""
    assert merged(a, b) == merged(b, a)


@given(values, values)
def test_merge_is_exact(one: list[float], other: list[float]) -> None:
    """Two merged histograms are the histogram of all values."""
    assert merged(counted(one), counted(other)) == counted(one + other)


@given(histograms, histograms)
def test_a_part_can_be_taken_out_again(a: dict[str, int], b: dict[str, int]) -> None:
    """A pane that is replaced leaves no trace in a window."""
    assert without(merged(a, b), b) == a


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_bins_are_numpys(some: list[float]) -> None:
    """Inside the edges the bins are those of numpy.histogram, the last edge included."""
    expected = np.histogram(some, bins=EDGES)[0].tolist()

    assert dense(counted(some), bins=3) == [0, *expected, 0]


def test_values_beyond_the_edges_are_counted_apart() -> None:
    """Nothing is dropped: under, over and absent values have bins of their own."""
    assert counted([-0.1, 1.1, float("nan")]) == {UNDER: 1, OVER: 1, NAN: 1}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_mean_is_off_by_half_a_bin_at_most(some: list[float]) -> None:
    """The mean from bins stays within half the widest bin of the true one."""
    estimate = mean(counted(some), EDGES)

    assert estimate is not None
    assert abs(estimate - float(np.mean(some))) <= 0.25 + 1e-9


def test_mean_of_nothing_is_untold() -> None:
    """No value, no mean: never a zero that was not measured."""
    assert mean({NAN: 3}, EDGES) is None
