"""How far two histograms over the same edges are apart. Pure; counts in, a figure out.

Each figure is an effect size: none says "drift" by itself, and no p-value is made of thousands of images.
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

#: Laplace's pseudo-count of a bin: keeps logarithms finite where a bin is empty.
_PSEUDO = 0.5


def psi(reference: Sequence[int], current: Sequence[int]) -> float:
    """Give the population stability index: symmetric, 0 when equal; 0.1 is small, 0.25 large by custom.

    Source: Siddiqi, Credit Risk Scorecards (2006), 136-139. Bins are smoothed by half a count each.

    >>> psi([50, 50], [50, 50])
    0.0
    >>> round(psi([90, 10], [50, 50]), 3)
    0.853
    """
    before, now = _smoothed(reference), _smoothed(current)
    return math.fsum((q - p) * math.log(q / p) for p, q in zip(before, now, strict=True))


def jensen_shannon(reference: Sequence[int], current: Sequence[int]) -> float:
    """Give the Jensen-Shannon divergence in bits: symmetric, 0 (equal) to 1 (disjoint).

    Source: Lin, IEEE Trans. Inf. Theory 37(1):145-151 (1991).

    >>> jensen_shannon([1, 0], [0, 1])
    1.0
    >>> jensen_shannon([3, 1], [6, 2])
    0.0
    """
    before, now = _shares(reference), _shares(current)
    middle = [(p + q) / 2 for p, q in zip(before, now, strict=True)]
    return (_divergence(before, middle) + _divergence(now, middle)) / 2


def kolmogorov_smirnov(reference: Sequence[int], current: Sequence[int]) -> float:
    """Give the largest gap between the two cumulative shares at the edges (0 to 1): never above the exact KS statistic.

    >>> kolmogorov_smirnov([5, 5, 0], [0, 5, 5])
    0.5
    """
    gaps = (abs(p - q) for p, q in zip(_cumulative(reference), _cumulative(current), strict=True))
    return max(gaps, default=0.0)


def wasserstein(reference: Sequence[int], current: Sequence[int], edges: Sequence[float]) -> float:
    """Give the earth mover's distance W1 in the feature's unit, from bin centres; beyond the edges counts as the edge.

    Source: Vallender, Theory Probab. Appl. 18(4):784-786 (1974): W1 is the area between the distribution functions.

    >>> wasserstein([0, 4, 0, 0], [0, 0, 4, 0], edges=(0.0, 1.0, 2.0))
    1.0
    """
    places = [edges[0], *((low + high) / 2 for low, high in pairwise(edges)), edges[-1]]
    gaps = (abs(p - q) for p, q in zip(_cumulative(reference), _cumulative(current), strict=True))
    steps = (after - before for before, after in pairwise(places))
    return math.fsum(gap * step for gap, step in zip(gaps, steps, strict=False))


def chi_square(reference: Sequence[int], current: Sequence[int]) -> float:
    """Give Pearson's two-sample statistic divided by the number of values: an effect size (phi squared, 0 to 1).

    Source: Pearson, Phil. Mag. 50:157-175 (1900); Cramer, Mathematical Methods of Statistics (1946), 21.9.

    >>> chi_square([10, 10], [20, 20])
    0.0
    >>> chi_square([10, 0], [0, 10])
    1.0
    """
    rows = (sum(reference), sum(current))
    total = sum(rows)
    if not all(rows):
        return 0.0
    expected = [
        ((p + q) * row / total, seen) for p, q in _pairs(reference, current) for row, seen in _cells(rows, p, q)
    ]
    return math.fsum((seen - hoped) ** 2 / hoped for hoped, seen in expected if hoped) / total


def _pairs(one: Sequence[int], other: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip(one, other, strict=True))


def _cells(rows: tuple[int, int], *seen: int) -> list[tuple[int, int]]:
    return list(zip(rows, seen, strict=True))


def _smoothed(counts: Sequence[int]) -> list[float]:
    total = sum(counts) + _PSEUDO * len(counts)
    return [(count + _PSEUDO) / total for count in counts]


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]


def _cumulative(counts: Sequence[int]) -> list[float]:
    return list(accumulate(_shares(counts)))


def _divergence(one: Sequence[float], other: Sequence[float]) -> float:
    """Give the Kullback-Leibler divergence in bits."""
    return math.fsum(p * math.log2(p / q) for p, q in zip(one, other, strict=True) if p)
