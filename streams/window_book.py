"""Stage B's state: the newest pane of each source partition, and what was said about each window.

Order of keeping, so that a crash loses no statement:
1. a pane is stored before its offset is committed; a window that speaks of fewer results than its panes is unsaid
2. at a tick the new revision is stored with the tick's offset, then sent; both reach the broker before the commit
3. a tick that comes again after a crash states again what it had stated, under the same revision
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

from schemas.pane_updated import PaneUpdated
from schemas.tick import Tick
from schemas.window_evaluated import WindowEvaluated
from streams.histograms import Edges
from streams.panes import MINUTE, REVISABLE, Store
from streams.windows import (
    WINDOW_SECONDS,
    Histograms,
    ReferenceOf,
    WindowKey,
    WindowState,
    closes,
    evaluated,
    total,
    windows_at,
    windows_of,
)

_PANE, _WINDOW, _EDGES = "p", "w", "e"
#: How long panes and windows are kept after a window's end: late panes, and an hour for those on their way.
_KEPT = REVISABLE + timedelta(hours=1)
_LONGEST = max(WINDOW_SECONDS)

_Source = tuple[str, int]
_Slice = tuple[str, str, str]


class WindowBook:
    """The windows of the slices in one partition."""

    def __init__(self, store: Store, partition: int, reference_of: ReferenceOf) -> None:
        self._store = store
        self._partition = partition
        self._reference_of = reference_of
        self._states: dict[WindowKey, WindowState] = {}
        self._sources: dict[_Slice, set[_Source]] = {}
        self._minutes: dict[_Slice, set[int]] = {}
        self._edges: dict[int, Edges] = {}
        self._totals: dict[WindowKey, Histograms] = {}
        self._changed: set[WindowKey] = set()
        self._fresh = True  # nothing was evaluated since the state was read
        self._pruned_until = datetime.min.replace(tzinfo=UTC)
        self._read()

    def merge(self, pane: PaneUpdated) -> bool:
        """Keep a pane if it is newer than the one that its source partition gave before; say whether it was."""
        of, minute = (pane.model, pane.model_version, pane.slice), int(pane.pane_start.timestamp())
        source = (pane.source_topic, pane.source_partition)
        name = _encode([_PANE, self._partition, *of, minute, *source])
        stored = self._store.get(name)
        old = None if stored is None else json.loads(stored)
        if old is not None and old["o"] >= pane.last_offset:
            return False
        new = Histograms.of(pane)
        before = Histograms() if old is None else self._histograms(old)
        self._store[name] = self._encoded(pane)
        self._note(of, minute, source)
        for key in windows_of(pane):
            if key in self._totals:
                self._totals[key] = self._totals[key].minus(before).plus(new)
            self._states.setdefault(key, WindowState())
            self._changed.add(key)
        return True

    def evaluate(self, tick: Tick, offset: int) -> list[WindowEvaluated]:
        """State each window that changed or closes, and those whose statement at this tick a crash may have cut off."""
        closing = {key for key, state in self._states.items() if not state.closed and closes(key, tick.complete_until)}
        changed = set(self._changed)
        again = {key for key, state in self._states.items() if self._fresh and state.tick >= offset}
        self._fresh = False
        self._changed.clear()
        return [
            self._stated(key, offset, closing=key in closing, revised=key in closing | changed)
            for key in sorted(closing | changed | again)
        ]

    def versions(self) -> frozenset[tuple[str, str]]:
        """Name the models and versions that have windows here."""
        return frozenset((key.model, key.version) for key in self._states)

    def prune(self, complete_until: datetime) -> int:
        """Let go of panes and windows that no pane may revise any more; give their number."""
        if complete_until - self._pruned_until < timedelta(minutes=10):
            return 0
        self._pruned_until = complete_until
        limit = (complete_until - _KEPT).timestamp()
        gone = [name for name in self._names() if _ends(name) <= limit]
        for name in gone:
            del self._store[_encode(name)]
            if name[0] == _WINDOW:
                self._states.pop(WindowKey(*name[2:]), None)
            elif name[0] == _PANE:
                self._minutes[name[2], name[3], name[4]].discard(name[5])
        return len(gone)

    def _stated(self, key: WindowKey, offset: int, *, closing: bool, revised: bool) -> WindowEvaluated:
        state = self._states[key]
        seen = self._totals.get(key) or self._total(key)
        if revised:
            state = WindowState(state.revision + 1, state.closed or closing, seen.spoken_of, offset)
            self._keep(key, state)
        if state.closed:
            self._totals.pop(key, None)
        else:
            self._totals[key] = seen
        return evaluated(key, state, seen, self._reference_of(key.model, key.version))

    def _keep(self, key: WindowKey, state: WindowState) -> None:
        self._states[key] = state
        parts = [state.revision, state.closed, state.said, state.tick]
        self._store[_encode(self._window_name(key))] = json.dumps(parts, separators=(",", ":")).encode()

    def _total(self, key: WindowKey) -> Histograms:
        """Merge a window's panes anew."""
        of = (key.model, key.version, key.slice)
        names = (
            _encode([_PANE, self._partition, *of, minute, *source])
            for minute in range(key.start, key.start + key.seconds, MINUTE)
            if minute in self._minutes.get(of, ())
            for source in self._sources.get(of, ())
        )
        stored = (self._store.get(name) for name in names)
        return total(self._histograms(json.loads(one)) for one in stored if one is not None)

    def _note(self, of: _Slice, minute: int, source: _Source) -> None:
        self._minutes.setdefault(of, set()).add(minute)
        self._sources.setdefault(of, set()).add(source)

    def _window_name(self, key: WindowKey) -> list[Any]:
        return [_WINDOW, self._partition, key.model, key.version, key.slice, key.seconds, key.start]

    def _encoded(self, pane: PaneUpdated) -> bytes:
        counts = {name: [self._edges_id(tuple(one.edges)), one.counts] for name, one in pane.histograms.items()}
        return json.dumps({"o": pane.last_offset, "n": pane.n, "c": counts}, separators=(",", ":")).encode()

    def _edges_id(self, edges: Edges) -> int:
        """Keep edges once: they are longer than the counts of most panes."""
        number = crc32(repr(edges).encode()) if edges else 0
        if edges and number not in self._edges:
            self._edges[number] = edges
            self._store[_encode([_EDGES, self._partition, number])] = json.dumps(edges).encode()
        return number

    def _histograms(self, stored: dict[str, Any]) -> Histograms:
        counts = {(name, self._edges.get(number, ())): bins for name, (number, bins) in stored["c"].items()}
        return Histograms(stored["n"], counts)

    def _names(self) -> Iterable[list[Any]]:
        decoded = (json.loads(name) for name in list(self._store))
        return (name for name in decoded if name[1] == self._partition)

    def _read(self) -> None:
        """Read the store: states, sources, edges, and which windows speak of fewer results than their panes hold."""
        held: dict[WindowKey, int] = {}
        for name in self._names():
            if name[0] == _WINDOW:
                self._states[WindowKey(*name[2:])] = WindowState(*json.loads(self._store[_encode(name)]))
            elif name[0] == _EDGES:
                self._edges[name[2]] = tuple(json.loads(self._store[_encode(name)]))
            else:
                self._note((name[2], name[3], name[4]), name[5], (name[6], name[7]))
                count = self._histograms(json.loads(self._store[_encode(name)])).spoken_of
                for key in windows_at(name[2], name[3], name[4], name[5]):
                    held[key] = held.get(key, 0) + count
        for key, count in held.items():
            if count != self._states.setdefault(key, WindowState()).said:
                self._changed.add(key)


def _encode(name: list[Any]) -> bytes:
    return json.dumps(name, separators=(",", ":")).encode()


def _ends(name: list[Any]) -> float:
    """Say when the longest window that a stored name takes part in ends (seconds since 1970)."""
    if name[0] == _EDGES:
        return float("inf")
    start = name[5] if name[0] == _PANE else name[6]
    return float(start // _LONGEST * _LONGEST + _LONGEST)
