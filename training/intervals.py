"""Shares with their 95 % intervals: light, so that what only reports numbers needs no scipy."""

from dataclasses import dataclass
from math import sqrt

#: Two-sided 95 % of the normal distribution.
Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval, and of how many films."""

    value: float
    low: float
    high: float
    n: int


def share_estimate(hits: int, of: int) -> Estimate:
    """Return a share with Wilson's interval (Wilson, 1927).

    >>> share_estimate(98, 100)
    Estimate(value=0.98, low=0.92999, high=0.9945, n=100)
    """
    share = hits / of
    scale = 1 + Z95**2 / of
    centre = (share + Z95**2 / (2 * of)) / scale
    spread = Z95 / scale * sqrt(share * (1 - share) / of + Z95**2 / (4 * of**2))
    return Estimate(share, round(centre - spread, 5), round(centre + spread, 5), of)
