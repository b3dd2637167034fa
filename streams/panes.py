"""Stage A's state: cumulative one-minute panes of one source partition. Pure but for the store that it is given.

A pane says which offset it counted last, so a result that comes twice is counted once; whoever receives the whole
cumulative pane twice overwrites it.
"""

import json
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from zlib import crc32

from schemas.inference_completed import InferenceCompleted
from schemas.pane_updated import Histogram, PaneUpdated
from streams import features
from streams.features import Measure, Names
from streams.histograms import Counts, Edges, merged

MINUTE = 60  # seconds
#: How long a result may come after its minute and still be counted there.
REVISABLE = timedelta(days=7)
#: Panes that are kept decoded between two flushes (count).
_HOT = 1024

Store: TypeAlias = MutableMapping[bytes, bytes]
MeasureOf: TypeAlias = Callable[[str, str], Measure]


@dataclass(frozen=True, slots=True, order=True)
class PaneKey:
    """Which pane: written as JSON, it is the table's key."""

    topic: str
    partition: int
    model: str
    version: str
    slice: str
    minute: int  # seconds since 1970, UTC

    def encode(self) -> bytes:
        """Give the table's key."""
        parts = [self.topic, self.partition, self.model, self.version, self.slice, self.minute]
        return json.dumps(parts, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes) -> "PaneKey":
        """Read a table's key back."""
        return cls(*json.loads(data))


@dataclass(frozen=True, slots=True)
class Pane:
    """Everything counted in one minute."""

    last_offset: int = -1
    n: int = 0
    counts: Mapping[str, Counts] = field(default_factory=dict)
    edges_id: int = 0

    def counted(self, offset: int, bins: Mapping[str, str]) -> "Pane":
        """Add one result's bins; `n` grows unless the result only says that it was late."""
        counts = {**self.counts}
        for name, bin_name in bins.items():
            counts[name] = merged(counts.get(name, {}), {bin_name: 1})
        return replace(self, last_offset=offset, n=self.n + (features.LATE not in bins), counts=counts)

    def over(self, edges: Mapping[str, Edges]) -> "Pane":
        """Make sure that the counts stand over these edges; numbers counted over others are let go."""
        new_id = crc32(repr(sorted(edges.items())).encode())
        if new_id == self.edges_id:
            return self
        kept = {name: counts for name, counts in self.counts.items() if name not in edges}
        return replace(self, edges_id=new_id, counts=kept)

    def encode(self) -> bytes:
        """Give the table's value."""
        parts = {"o": self.last_offset, "n": self.n, "c": self.counts, "e": self.edges_id}
        return json.dumps(parts, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Pane":
        """Read a table's value back."""
        parts: dict[str, Any] = json.loads(data)
        return cls(parts["o"], parts["n"], parts["c"], parts["e"])


class PaneBook:
    """The panes of one source partition."""

    def __init__(self, store: Store, topic: str, partition: int, measure_of: MeasureOf) -> None:
        self._store = store
        self._topic = topic
        self._partition = partition
        self._measure_of = measure_of
        self._hot: dict[PaneKey, Pane] = {}
        self._touched: set[PaneKey] = set()
        self._names = _names_in(key.slice for key in self._keys())

    def count(self, result: InferenceCompleted, offset: int) -> None:
        """Count a result in each of its slices, if it was not counted before; `flush` keeps and gives the panes."""
        if not features.is_counted(result):
            return
        measure = self._measure_of(result.model, result.model_version)
        site = self._names["site"].admit(features.trimmed(result.site))
        manufacturer = self._names["manufacturer"].admit(features.trimmed(result.manufacturer).casefold())
        at, bins = _place(result, measure, manufacturer)
        for name in (features.ALL, f"site={site}", f"manufacturer={manufacturer}"):
            key = self._key(result, name, at)
            pane = self._pane(key, measure.edges)
            self._hot[key] = pane.counted(offset, bins) if offset > pane.last_offset else pane
            self._touched.add(key)

    def flush(self) -> list[PaneUpdated]:
        """Keep the panes that were touched and give them whole, also those that a repeat did not change."""
        touched = sorted(self._touched)
        for key in touched:
            self._store[key.encode()] = self._hot[key].encode()
        panes = [updated(key, self._hot[key], self._measure_of(key.model, key.version).edges) for key in touched]
        self._touched.clear()
        if len(self._hot) > _HOT:
            self._hot.clear()
        return panes

    def prune(self, before: datetime) -> int:
        """Let go of the panes whose minute lies before a moment; give their number."""
        limit = int(before.timestamp()) - MINUTE
        gone = [key for key in self._keys() if key.minute <= limit and key not in self._touched]
        for key in gone:
            del self._store[key.encode()]
            self._hot.pop(key, None)
        return len(gone)

    def _pane(self, key: PaneKey, edges: Mapping[str, Edges]) -> Pane:
        if key not in self._hot:
            stored = self._store.get(key.encode())
            self._hot[key] = (Pane() if stored is None else Pane.decode(stored)).over(edges)
        return self._hot[key]

    def _key(self, result: InferenceCompleted, name: str, at: datetime) -> PaneKey:
        minute = int(at.timestamp()) // MINUTE * MINUTE
        return PaneKey(self._topic, self._partition, result.model, result.model_version, name, minute)

    def _keys(self) -> Iterator[PaneKey]:
        decoded = (PaneKey.decode(name) for name in list(self._store))
        return (key for key in decoded if (key.topic, key.partition) == (self._topic, self._partition))


def updated(key: PaneKey, pane: Pane, edges: Mapping[str, Edges]) -> PaneUpdated:
    """Write a pane as the record that stage B reads."""
    return PaneUpdated(
        model=key.model,
        model_version=key.version,
        slice=key.slice,
        pane_start=datetime.fromtimestamp(key.minute, UTC),
        source_topic=key.topic,
        source_partition=key.partition,
        last_offset=pane.last_offset,
        n=pane.n,
        histograms={name: Histogram(edges=edges.get(name, ()), counts=c) for name, c in pane.counts.items()},
    )


def _place(result: InferenceCompleted, measure: Measure, manufacturer: str) -> tuple[datetime, dict[str, str]]:
    """Say to which moment a result counts, and as what: too late a one counts as late when it was made."""
    if result.completed_at - result.received_at > REVISABLE:
        return result.completed_at, {features.LATE: "too_late"}
    return result.received_at, features.bins_of(result, measure, manufacturer)


def _names_in(slices: Iterator[str]) -> dict[str, Names]:
    known: dict[str, set[str]] = {"site": set(), "manufacturer": set()}
    for name in slices:
        kind, _, value = name.partition("=")
        if value and value != "other":
            known[kind].add(value)
    return {kind: Names(values) for kind, values in known.items()}
