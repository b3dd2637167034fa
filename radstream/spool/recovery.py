"""After the machine went down: which records of the segments are images, whatever became of their names.

Names are never synced: what counts is the record, which was durable before anybody was told Success. A name may be
lost, or be back that was removed before its segment was used again.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from radstream.spool.aligned import BLOCK_BYTES, PIECE_BYTES
from radstream.spool.entry import FOOTER_BYTES, Entry, Note, Torn, place_before
from radstream.spool.names import Place, name_of, place_of
from radstream.spool.segment import SEGMENT, cycle_of


def is_stale(path: Path) -> bool:
    """Say whether a name is of a former use of its segment: it was removed before the machine went down."""
    place = place_of(path.stem)
    if place is None:
        return False
    cycle = cycle_of(str(path))
    return cycle is None or cycle.hex() != place.cycle


def name_lost(folder: Path, named: Iterable[str], kind: str) -> None:
    """Give every record that is whole and has no name a name of this kind; `named`: those that are there."""
    known = {place for name in named if (place := place_of(name)) is not None}
    for segment in sorted(folder.glob(f"*{SEGMENT}")):
        for place in _places(segment):
            if place not in known:
                _name(segment, place, kind)


def _name(segment: Path, place: Place, kind: str) -> None:
    """Link a record as an entry, look whether it is whole, and forget it where it is not: nobody was told Success."""
    passing = segment.with_name(f"{segment.stem}@{place.cycle}-{place.start:x}-{place.end:x}.part")
    passing.hardlink_to(segment)
    try:
        note = Note.of_file(passing)
        if Entry(passing, note).is_whole():
            passing.rename(segment.with_name(name_of(note.lane, note.received_at, place) + kind))
    except Torn:
        pass
    finally:
        passing.unlink(missing_ok=True)


def _places(segment: Path) -> Iterator[Place]:
    """Find the records of a segment's present use, by what ends them."""
    cycle = cycle_of(str(segment))
    if cycle is None:
        return
    with segment.open("rb") as file:
        begin = 0
        while piece := file.read(PIECE_BYTES):
            for at in range(BLOCK_BYTES, len(piece) + 1, BLOCK_BYTES):
                place = place_before(begin + at, piece[at - FOOTER_BYTES : at], cycle)
                if place is not None:
                    yield place
            begin += len(piece)
