"""Heat maps into the object store, before the results that name them are written.

A result's key stands in the log only after its object stands in the store. The maps of the images that share a
transaction are put together, just before it: alone, each put woke threads and a server beside the forward pass that it
disturbed. A put again, after a crash, an abort or a store that was away, writes the same bytes under the same key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter

from consumers.imaging.decision import Operating, decide
from consumers.imaging.heatmap import png_of
from radstream.objects.stores import Objects
from schemas.words import Role

STORED = Counter("radstream_heatmaps_stored", "Heat maps that were put to the object store")


@unique
class Which(StrEnum):
    """Of which images a heat map is made."""

    NONE = "none"
    POSITIVES = "positives"
    ALL = "all"


def key_of(result_id: UUID, revision: int) -> str:
    """Name a map's object: one for each revision of a result, spread over 256 folders.

    >>> key_of(UUID(int=0xAB << 120), 2)
    'heatmaps/ab/ab000000-0000-0000-0000-000000000000.2.png'
    """
    return f"heatmaps/{result_id.hex[:2]}/{result_id}.{revision}.png"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A map that is to be drawn: of one image, and of one class."""

    key: str
    evidence: NDArray[np.float32]  # [classes, h, w]
    found: int  # index of the class


class HeatMaps:
    """Says who gets a map, draws and stores maps. Any thread may ask; each has connections of its own."""

    def __init__(self, objects: Objects, which: Which) -> None:
        self._objects = objects
        self._which = which

    def class_of(self, logits: NDArray[np.floating], operating: Operating, role: Role) -> int | None:
        """Say of which class a map is wanted: the finding's; None for no map. Nobody looks at a shadow's."""
        if self._which is Which.NONE or role is Role.SHADOW or not np.isfinite(logits).all():
            return None
        finding = decide(logits, operating).finding
        if self._which is Which.POSITIVES and finding != operating.positive:
            return None
        return operating.classes.index(finding)

    def store(self, wanted: Sequence[Wanted]) -> None:
        """Draw maps and put them, all under way at one time; when it returns all are stored. Raises ObjectStoreDown."""
        if wanted:
            self._objects.put_all({one.key: png_of(one.evidence, one.found) for one in wanted})
            STORED.inc(len(wanted))
