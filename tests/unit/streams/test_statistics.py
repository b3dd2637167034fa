"""Each figure agrees with a second implementation, and is nought where nothing differs."""

import doctest
import importlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from streams.statistics import chi_square, jensen_shannon, kolmogorov_smirnov, psi, wasserstein

EDGES = (0.0, 1.0, 3.0, 4.0)
PLACES = (0.0, 0.5, 2.0, 3.5, 4.0)
counts = st.lists(st.integers(0, 200), min_size=5, max_size=5).filter(any)


@given(counts, counts)
def test_psi_is_its_formula_over_smoothed_shares(before: list[int], now: list[int]) -> None:
    """PSI is the sum of (q - p) ln(q / p), each bin raised by half a count."""
    p, q = (np.add(one, 0.5) / (sum(one) + 2.5) for one in (before, now))

    assert psi(before, now) == pytest.approx(float(np.sum((q - p) * np.log(q / p))), abs=1e-9)


@given(counts, counts)
def test_jensen_shannon_agrees_with_scipy(before: list[int], now: list[int]) -> None:
    """The divergence is the square of scipy's distance, in bits."""
    expected = float(np.nan_to_num(jensenshannon(before, now, base=2))) ** 2

    assert jensen_shannon(before, now) == pytest.approx(expected, abs=1e-7)


@given(counts, counts)
def test_kolmogorov_smirnov_agrees_with_scipy(before: list[int], now: list[int]) -> None:
    """On values that all lie at bin centres the binned statistic is the exact one."""
    expected = stats.ks_2samp(np.repeat(PLACES, before), np.repeat(PLACES, now), method="asymp").statistic

    assert kolmogorov_smirnov(before, now) == pytest.approx(expected, abs=1e-9)


@given(counts, counts)
def test_wasserstein_agrees_with_scipy(before: list[int], now: list[int]) -> None:
    """W1 is scipy's, weighted by the counts."""
    expected = stats.wasserstein_distance(PLACES, PLACES, before, now)

    assert wasserstein(before, now, EDGES) == pytest.approx(expected, abs=1e-9)


@given(counts, counts)
def test_chi_square_agrees_with_scipy(before: list[int], now: list[int]) -> None:
    """The effect size is Pearson's statistic over the number of values."""
    table = np.array([before, now])
    table = table[:, table.any(axis=0)]
    expected = stats.chi2_contingency(table, correction=False).statistic / table.sum() if table.shape[1] > 1 else 0.0

    assert chi_square(before, now) == pytest.approx(expected, abs=1e-9)


@given(counts)
def test_a_window_like_the_reference_is_at_nought(same: list[int]) -> None:
    """Nothing differs, so nothing is reported."""
    figures = (
        psi(same, same),
        jensen_shannon(same, same),
        kolmogorov_smirnov(same, same),
        wasserstein(same, same, EDGES),
        chi_square(same, same),
    )

    assert all(math.isclose(figure, 0.0, abs_tol=1e-12) for figure in figures)


@pytest.mark.parametrize("name", ["histograms", "statistics", "features", "references", "turns"])
def test_examples_in_the_docs_hold(name: str) -> None:
    """The doctests of the numeric files run and pass."""
    outcome = doctest.testmod(importlib.import_module(f"streams.{name}"))

    assert outcome.attempted
    assert not outcome.failed
