"""Names of the spool's entries: they say what an image is and where it stands, so that a folder needs no index.

NAME is its lane's rank (0 STAT, 1 routine), its receipt (microseconds of UTC), then `@` and its place: the cycle of its
segment, its first byte and the one behind its last, all hexadecimal. Names without a place are of releases before
segments: a file of its own for each image, a random part behind the receipt.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.words import Lane

_STAT, _ROUTINE = "0", "1"
_MICROSECONDS = 1_000_000
_TIME_DIGITS = 14  # hexadecimal: microseconds of UTC, enough for two thousand years
_PLACE_MARK = "@"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image's record stands in a segment (offsets in bytes)."""

    cycle: str  # of the segment's reuse: 8 hexadecimal digits
    start: int
    end: int


def name_of(lane: Lane, received_at: datetime, place: Place) -> str:
    """Give an entry's name.

    >>> name_of(Lane.STAT, datetime(2026, 11, 21, tzinfo=UTC), Place("00c0ffee", 4096, 12288))
    '00660be0ab5c000@00c0ffee-1000-3000'
    """
    rank = _STAT if lane is Lane.STAT else _ROUTINE
    return f"{rank}{digits_of(received_at)}{_PLACE_MARK}{place.cycle}-{place.start:x}-{place.end:x}"


def place_of(name: str) -> Place | None:
    """Give the place that stands in an entry's name; None for a file of its own.

    >>> place_of("0000651a1e0cd8000@00c0ffee-1000-3000")
    Place(cycle='00c0ffee', start=4096, end=12288)
    """
    _, mark, place = name.partition(_PLACE_MARK)
    if not mark:
        return None
    cycle, start, end = place.partition(".")[0].split("-")
    return Place(cycle, int(start, 16), int(end, 16))


def digits_of(at: datetime) -> str:
    """Give a receipt as it stands in a name."""
    return f"{int(at.timestamp() * _MICROSECONDS):0{_TIME_DIGITS}x}"


def received(name: str) -> str:
    """Give the digits of the receipt in an entry's name: they sort as the receipts do."""
    return name[1 : 1 + _TIME_DIGITS]


def received_at(name: str) -> datetime:
    """Give the receipt that stands in an entry's name.

    >>> received_at("1" + "00000000000000" + "ab").year
    1970
    """
    return datetime.fromtimestamp(int(received(name), 16) / _MICROSECONDS, UTC)
