"""Stage B's arithmetic: panes into tumbling windows aligned to UTC, and what a window says. Pure.

A window closes when everything that was stable at its end, and some grace later, is counted and merged. It stays
revisable for the time that late panes are taken; each change has a higher revision under the same id.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from schemas.identity import window_id
from schemas.pane_updated import PaneUpdated
from schemas.window_evaluated import WindowEvaluated
from schemas.words import Outcome
from streams import features, statistics
from streams.histograms import NAN, Counts, Edges, dense, mean, merged, without
from streams.references import Reference

#: 5 minutes, 1 hour, 24 hours (seconds).
WINDOW_SECONDS = (300, 3600, 86400)
#: How long after its end a window waits for results that were received in it (an image takes seconds).
GRACE = timedelta(seconds=60)

ReferenceOf: TypeAlias = Callable[[str, str], Reference]


@dataclass(frozen=True, slots=True, order=True)
class WindowKey:
    """Which window."""

    model: str
    version: str
    slice: str
    seconds: int
    start: int  # seconds since 1970, UTC; a multiple of `seconds`

    @property
    def end(self) -> datetime:
        """The first moment after the window (UTC)."""
        return datetime.fromtimestamp(self.start + self.seconds, UTC)


def windows_at(model: str, version: str, slice_name: str, minute: int) -> list[WindowKey]:
    """Name the windows that a slice's minute lies in (seconds since 1970)."""
    return [WindowKey(model, version, slice_name, seconds, minute // seconds * seconds) for seconds in WINDOW_SECONDS]


def windows_of(pane: PaneUpdated) -> list[WindowKey]:
    """Name the windows that a pane lies in."""
    return windows_at(pane.model, pane.model_version, pane.slice, int(pane.pane_start.timestamp()))


@dataclass(frozen=True, slots=True)
class Histograms:
    """What one or many panes counted: bins of each feature over its edges (none for categories)."""

    n: int = 0
    counts: Mapping[tuple[str, Edges], Counts] = field(default_factory=dict)

    @classmethod
    def of(cls, pane: PaneUpdated) -> "Histograms":
        """Take a pane's histograms."""
        return cls(pane.n, {(name, tuple(one.edges)): dict(one.counts) for name, one in pane.histograms.items()})

    def plus(self, other: "Histograms") -> "Histograms":
        """Merge exactly: associative and commutative. Histograms over other edges stand side by side."""
        counts = dict(self.counts)
        for name, bins in other.counts.items():
            counts[name] = merged(counts.get(name, {}), bins)
        return Histograms(self.n + other.n, counts)

    def minus(self, other: "Histograms") -> "Histograms":
        """Take out what was merged in."""
        counts = dict(self.counts)
        for name, bins in other.counts.items():
            counts[name] = without(counts.get(name, {}), bins)
        return Histograms(self.n - other.n, {name: bins for name, bins in counts.items() if bins})

    @property
    def spoken_of(self) -> int:
        """Count the results and the late ones: it grows with each result, whatever it brings."""
        return self.n + sum(self.feature(features.LATE)[1].values())

    def feature(self, name: str) -> tuple[Edges, Counts]:
        """Give a feature's edges and bins; of several edges those that hold the most."""
        found = [(edges, bins) for (feature, edges), bins in self.counts.items() if feature == name]
        return max(found, key=lambda one: sum(one[1].values()), default=((), {}))


def total(parts: Iterable[Histograms]) -> Histograms:
    """Merge any number of panes."""
    whole = Histograms()
    for part in parts:
        whole = whole.plus(part)
    return whole


@dataclass(frozen=True, slots=True)
class WindowState:
    """What has been said about a window so far."""

    revision: int = 0
    closed: bool = False
    said: int = 0  # how many results, late ones too, the last statement spoke of
    tick: int = -1  # offset of the tick at which it was last stated


def closes(key: WindowKey, complete_until: datetime | None) -> bool:
    """Say whether a window's input is complete: caught up, and past its end by the grace."""
    return complete_until is not None and complete_until >= key.end + GRACE


def evaluated(key: WindowKey, state: WindowState, seen: Histograms, reference: Reference) -> WindowEvaluated:
    """State a window. No verdict yet: `in_control` and `kind` stay null until detectors are calibrated."""
    return WindowEvaluated(
        window_id=window_id(key.model, key.version, key.slice, key.seconds, key.start),
        revision=state.revision,
        closed=state.closed,
        model=key.model,
        model_version=key.version,
        slice=key.slice,
        window_seconds=key.seconds,
        window_start=datetime.fromtimestamp(key.start, UTC),
        window_end=key.end,
        n=seen.n,
        statistics=figures(seen, reference),
        late=seen.spoken_of - seen.n,
    )


def figures(seen: Histograms, reference: Reference) -> dict[str, float]:
    """Work out a window's statistics; a figure that can't be told is left out."""
    outcomes = seen.feature(features.OUTCOME)[1]
    findings = seen.feature(features.FINDING)[1]
    found = {f"{outcome}": float(outcomes.get(str(outcome), 0)) for outcome in Outcome}
    if told := sum(findings.values()):
        negative = reference.measure.negative
        positive = sum(count for name, count in findings.items() if not features.is_negative(name, negative))
        found["positive_share"] = positive / told
    for name in (features.SCORE, features.BRIGHTNESS, features.CONTRAST):
        found |= _numeric(name, *seen.feature(name), reference)
    makers = seen.feature(features.MANUFACTURER)[1]
    found |= {f"manufacturer_share.{name}": count / seen.n for name, count in makers.items() if seen.n}
    return found


def _numeric(name: str, edges: Edges, bins: Counts, reference: Reference) -> dict[str, float]:
    if not edges:
        return {}
    found = {f"{name}_nan": float(bins[NAN])} if NAN in bins else {}
    centre = mean(bins, edges)
    if centre is None:
        return found
    found[f"{name}_mean"] = centre
    expected = reference.counts.get(name)
    if expected is None or reference.measure.edges[name] != edges:
        return found
    before, now = dense(expected, len(edges) - 1), dense(bins, len(edges) - 1)
    return found | {
        f"{name}_psi": statistics.psi(before, now),
        f"{name}_js": statistics.jensen_shannon(before, now),
        f"{name}_ks": statistics.kolmogorov_smirnov(before, now),
        f"{name}_w1": statistics.wasserstein(before, now, edges),
        f"{name}_chi_square": statistics.chi_square(before, now),
    }
