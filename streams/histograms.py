"""Histograms over fixed edges: they merge exactly, in any order, and cost microseconds.

Edges come from the model's reference, so that each window can be compared with it bin by bin.
A bin holds its left edge; the last one holds its right edge too (numpy's convention).
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

UNDER = "under"
OVER = "over"
NAN = "nan"
OTHER = "other"  # categories beyond the bound
UNKNOWN = "unknown"  # an absent value

#: Bin to count; only bins that hold something are written down.
Counts: TypeAlias = Mapping[str, int]
Edges: TypeAlias = tuple[float, ...]


def bin_of(value: float | None, edges: Sequence[float]) -> str:
    """Name the bin of a value; an absent one or NaN is `nan`.

    >>> [bin_of(x, (0.0, 0.5, 1.0)) for x in (-1.0, 0.0, 0.5, 1.0, 1.1, None)]
    ['under', 'b0', 'b1', 'b1', 'over', 'nan']
    """
    if value is None or math.isnan(value):
        return NAN
    if value < edges[0]:
        return UNDER
    if value > edges[-1]:
        return OVER
    return f"b{min(bisect_right(edges, value), len(edges) - 1) - 1}"


def merged(one: Counts, other: Counts) -> dict[str, int]:
    """Add two histograms over the same edges.

    >>> merged({"b0": 2}, {"b0": 1, "nan": 1})
    {'b0': 3, 'nan': 1}
    """
    total = dict(one)
    for name, count in other.items():
        total[name] = total.get(name, 0) + count
    return total


def without(total: Counts, part: Counts) -> dict[str, int]:
    """Take a histogram out of one that it was merged into.

    >>> without({"b0": 3, "nan": 1}, {"b0": 1, "nan": 1})
    {'b0': 2}
    """
    rest = dict(total)
    for name, count in part.items():
        left = rest.get(name, 0) - count
        if left:
            rest[name] = left
        else:
            rest.pop(name, None)
    return rest


def dense(counts: Counts, bins: int) -> list[int]:
    """List all counts in order: under, b0 .., over; NaN is no value and stays out.

    >>> dense({"b1": 4, "over": 1, "nan": 9}, bins=2)
    [0, 0, 4, 1]
    """
    return [counts.get(UNDER, 0), *(counts.get(f"b{index}", 0) for index in range(bins)), counts.get(OVER, 0)]


def mean(counts: Counts, edges: Sequence[float]) -> float | None:
    """Estimate the mean from bin centres: off by half a bin at most; values beyond the edges count as the edge.

    >>> mean({"b0": 1, "b1": 3}, (0.0, 0.5, 1.0))
    0.625
    """
    centres = [edges[0], *((low + high) / 2 for low, high in pairwise(edges)), edges[-1]]
    values = dense(counts, len(edges) - 1)
    total = sum(values)
    return sum(count * centre for count, centre in zip(values, centres, strict=True)) / total if total else None
