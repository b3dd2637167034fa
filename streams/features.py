"""What is counted of a result, and in which slices: a pure table from feature to bin."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schemas.inference_completed import InferenceCompleted
from schemas.words import Outcome, Role
from streams.histograms import OTHER, UNKNOWN, Edges, bin_of

OUTCOME = "outcome"
FINDING = "finding"
MANUFACTURER = "manufacturer"
LATE = "late"
SCORE = "score"
BRIGHTNESS = "brightness"
CONTRAST = "contrast"

#: Where a model ships no reference: score in twentieths, grey levels in eighths of the scale's 32.
DEFAULT_EDGES: Mapping[str, Edges] = {
    SCORE: tuple(index / 20 for index in range(21)),
    BRIGHTNESS: tuple(float(level) for level in range(0, 257, 8)),
    CONTRAST: tuple(float(level) for level in range(0, 129, 4)),
}

ALL = "all"
#: Sites and manufacturers that get a slice of their own, each; the rest share one (count).
NAMED_SLICES = 32
_NAME_CHARACTERS = 64
_COUNTED_ROLES = frozenset({Role.CHAMPION, Role.CANARY})
_NEGATIVE_WORDS = frozenset({"NORMAL", "NEGATIVE", "NO_FINDING", "NO FINDING"})


@dataclass(frozen=True, slots=True)
class Measure:
    """How a model version is measured: its edges, and the class that stands for "nothing found"."""

    edges: Mapping[str, Edges]
    negative: str | None = None


def is_counted(result: InferenceCompleted) -> bool:
    """Say whether streams count a result: first revisions of answers that are delivered (promise 2)."""
    return result.result_revision == 1 and result.role in _COUNTED_ROLES


def bins_of(result: InferenceCompleted, measure: Measure, manufacturer: str) -> dict[str, str]:
    """Say in which bin each feature of a result falls; a feature that was not measured is left out."""
    bins = {OUTCOME: str(result.outcome), MANUFACTURER: manufacturer}
    if result.image_statistics is not None:
        bins[BRIGHTNESS] = bin_of(result.image_statistics.get("mean"), measure.edges[BRIGHTNESS])
        bins[CONTRAST] = bin_of(result.image_statistics.get("standard_deviation"), measure.edges[CONTRAST])
    if result.outcome is Outcome.EVALUATED:
        bins[FINDING] = result.finding or UNKNOWN
        bins[SCORE] = bin_of(score(result.probabilities, measure.negative), measure.edges[SCORE])
    return bins


def score(probabilities: Mapping[str, float] | None, negative: str | None = None) -> float | None:
    """Give the probability that there is a finding: one minus that of the negative class.

    Without a named negative class the customary words for it are looked for, else the last class counts.

    >>> score({"NORMAL": 0.25, "PNEUMONIA": 0.75})
    0.75
    """
    if not probabilities:
        return None
    named = [share for name, share in probabilities.items() if is_negative(name, negative)]
    return 1 - sum(named) if named else list(probabilities.values())[-1]


def is_negative(finding: str, negative: str | None = None) -> bool:
    """Say whether a class stands for "nothing found": the named one, else one of the customary words.

    >>> is_negative("Normal"), is_negative("PNEUMONIA"), is_negative("Normal", negative="CLEAR")
    (True, False, False)
    """
    return finding == negative if negative else finding.upper() in _NEGATIVE_WORDS


def trimmed(name: str | None) -> str:
    """Bring a free text to one short form, so that a scanner doesn't get two slices by its spaces.

    >>> trimmed("  GE   Healthcare ")
    'GE Healthcare'
    """
    return " ".join((name or "").split())[:_NAME_CHARACTERS] or UNKNOWN


class Names:
    """The names that have a slice of their own, at most `limit`; whoever comes later is `other`."""

    def __init__(self, known: Iterable[str] = (), limit: int = NAMED_SLICES) -> None:
        self._known = set(known)
        self._limit = limit

    def admit(self, name: str) -> str:
        """Give the name, or `other` when too many are known."""
        if name not in self._known and len(self._known) < self._limit:
            self._known.add(name)
        return name if name in self._known else OTHER
