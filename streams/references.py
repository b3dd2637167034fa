"""The references of models: edges and counts that windows are compared with, read from the packages that answered."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from streams.features import DEFAULT_EDGES, Measure
from streams.histograms import NAN, OVER, UNDER, Counts, Edges


@dataclass(frozen=True, slots=True)
class Reference:
    """What the model's own data looked like: for each feature its edges and counts; empty where none is shipped."""

    measure: Measure = field(default_factory=lambda: Measure(DEFAULT_EDGES))
    counts: Mapping[str, Counts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Documents:
    """What a package says: manifest.json and reference.json."""

    manifest: bytes
    reference: bytes


class Packages(Protocol):
    """Where packages are."""

    def documents(self, model: str, version: str) -> Documents | None:
        """Find a version's package; None where there is none. Raises Unavailable while a server is away."""


class References:
    """References by model and version, each read once."""

    def __init__(self, packages: Packages) -> None:
        self._packages = packages
        self._read: dict[tuple[str, str], Reference] = {}

    def knows(self, model: str, version: str) -> bool:
        """Say whether a version's reference was read, so that `of` waits for nobody."""
        return (model, version) in self._read

    def of(self, model: str, version: str) -> Reference:
        """Give a version's reference; default edges and no counts where there is none.

        Read where it is not yet: then raises Unavailable while a server is away, and from any thread.
        """
        if (model, version) not in self._read:
            found = self._packages.documents(model, version)
            self._read[model, version] = Reference() if found is None else reference_of(found)
        return self._read[model, version]

    def measure_of(self, model: str, version: str) -> Measure:
        """Give what stage A needs of a reference."""
        return self.of(model, version).measure


def reference_of(found: Documents) -> Reference:
    """Read a package's documents. An ensemble may have no histogram of its score."""
    described: dict[str, Any] = json.loads(found.reference).get("features", {})
    edges: dict[str, Edges] = {name: tuple(one["edges"]) for name, one in described.items() if one.get("edges")}
    counts = {name: sparse(described[name]["counts"]) for name in edges}
    classes = json.loads(found.manifest).get("classes") or [None]
    return Reference(Measure({**DEFAULT_EDGES, **edges}, negative=classes[0]), counts)


def sparse(counts: Sequence[int]) -> dict[str, int]:
    """Name the bins of a list `[under, b0 .., over, nan]`.

    >>> sparse([0, 3, 0, 1, 2])
    {'b0': 3, 'over': 1, 'nan': 2}
    """
    names = [UNDER, *(f"b{index}" for index in range(len(counts) - 3)), OVER, NAN]
    return {name: int(count) for name, count in zip(names, counts, strict=True) if count}
