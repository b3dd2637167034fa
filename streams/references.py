"""The references of models: edges and counts that windows are compared with, read from the model packages."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streams.features import DEFAULT_EDGES, Measure
from streams.histograms import NAN, OVER, UNDER, Counts, Edges


@dataclass(frozen=True, slots=True)
class Reference:
    """What the model's own data looked like: for each feature its edges and counts; empty where none is shipped."""

    measure: Measure = field(default_factory=lambda: Measure(DEFAULT_EDGES))
    counts: Mapping[str, Counts] = field(default_factory=dict)


class References:
    """References by model and version, each read once from `<root>/<model>/<version>/reference.json`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[tuple[str, str], Reference] = {}

    def of(self, model: str, version: str) -> Reference:
        """Give a model version's reference; default edges and no counts where its package has none."""
        if (model, version) not in self._read:
            self._read[model, version] = self._load(model, version)
        return self._read[model, version]

    def measure_of(self, model: str, version: str) -> Measure:
        """Give what stage A needs of a reference."""
        return self.of(model, version).measure

    def _load(self, model: str, version: str) -> Reference:
        package = self._root / model / version
        if self._root not in package.parents or ".." in package.parts:
            return Reference()
        described = _json(package / "reference.json").get("features", {})
        edges: dict[str, Edges] = {name: tuple(one["edges"]) for name, one in described.items() if one.get("edges")}
        counts = {name: sparse(described[name]["counts"]) for name in edges}
        classes = _json(package / "manifest.json").get("classes") or [None]
        return Reference(Measure({**DEFAULT_EDGES, **edges}, negative=classes[0]), counts)


def sparse(counts: Sequence[int]) -> dict[str, int]:
    """Name the bins of a list `[under, b0 .., over, nan]`.

    >>> sparse([0, 3, 0, 1, 2])
    {'b0': 3, 'over': 1, 'nan': 2}
    """
    names = [UNDER, *(f"b{index}" for index in range(len(counts) - 3)), OVER, NAN]
    return {name: int(count) for name, count in zip(names, counts, strict=True) if count}


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found
