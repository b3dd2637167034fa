"""Each row of INTERFACE.md's table of bad input that ends in a result: by a real socket, through the whole system."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEGLosslessSV1

from radstream.commands.send_scu import Pace, send_films
from radstream.phantoms.dicom import phantom
from tests.e2e.system import System, films_of
from tests.running import until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

numbers = count()


def made(syntax: str = ExplicitVRLittleEndian, **changed: Any) -> Dataset:
    """Make a phantom of its own with some elements changed; None takes one away."""
    now = datetime.now(UTC)
    data_set = phantom(int(now.timestamp() * 1e6), next(numbers), now, syntax)
    for keyword, value in changed.items():
        if value is None:
            del data_set[keyword]
        else:
            setattr(data_set, keyword, value)
    return data_set


def colour() -> Dataset:
    """Make a whole RGB image: three samples a pixel, as its tags say."""
    data_set = made(Rows=64, Columns=64, PhotometricInterpretation="RGB", SamplesPerPixel=3, PixelData=b"\0" * 12_288)
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit, data_set.PlanarConfiguration = 8, 8, 7, 0
    return data_set


def palette() -> Dataset:
    """Make an image whose values are indices of colours."""
    data_set = made(Rows=64, Columns=64, PhotometricInterpretation="PALETTE COLOR", PixelData=b"\0" * 4096)
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = 8, 8, 7
    return data_set


def one_bit() -> Dataset:
    """Make a bitmap."""
    data_set = made(Rows=64, Columns=64, PixelData=b"\xaa" * 512)
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = 1, 1, 0
    return data_set


def truncated() -> Dataset:
    """Make a JPEG that breaks off."""
    data_set = made(JPEGLosslessSV1)
    frame = next(generate_frames(data_set.PixelData, number_of_frames=1))
    data_set.PixelData = encapsulate([frame[: len(frame) // 3 * 2]])
    return data_set


#: What goes in; the reason that comes out (None: evaluated), and whether it also stands in the dead letters.
ROWS: Mapping[str, tuple[Callable[[], Dataset], str | None, bool]] = {
    "no pixel data": (lambda: made(PixelData=None), "no_pixels", False),
    "0x0": (lambda: made(Rows=0, Columns=0, PixelData=b""), "no_pixels", False),
    "1 bit": (one_bit, "unsupported_pixels", False),
    "palette": (palette, "unsupported_pixels", False),
    "colour": (colour, "unsupported_pixels", False),
    "multi-frame": (lambda: made(NumberOfFrames=2), "multi_frame", False),
    "lateral": (lambda: made(ViewPosition="LL"), "view", False),
    "other modality": (lambda: made(Modality="CT"), "modality", False),
    "other body part": (lambda: made(BodyPartExamined="KNEE", AnatomicRegionSequence=None), "body_part", False),
    "tags for scope missing": (
        lambda: made(ViewPosition=None, BodyPartExamined=None, AnatomicRegionSequence=None, PatientOrientation=None),
        None,
        False,
    ),
    "truncated pixels": (truncated, "undecodable", True),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_bad_image_is_acknowledged_ends_in_its_reason_and_the_next_passes(
    row: str, system: System, tmp_path: Path
) -> None:
    """Success for the sender, one result with the reason; a dead letter where decoding failed; nothing stops."""
    make, reason, lettered = ROWS[row]
    pids = {name: system.pid(name) for name in ("dicom_listener", "inference", "sink", "streams")}
    make().save_as(tmp_path / "bad.dcm", enforce_file_format=True)
    made().save_as(tmp_path / "good.dcm", enforce_file_format=True)
    films = films_of([tmp_path / "bad.dcm", tmp_path / "good.dcm"])
    (bad, good) = system.events(films)

    statuses = [answer.status for answer in send_films(films, system.peer, Pace())]

    results = system.results_of([bad, good])
    assert statuses == ["0x0000", "0x0000"]
    assert (results[bad].outcome, results[bad].reason) == ("not_evaluated" if reason else "evaluated", reason)
    assert (results[bad].probabilities is None, results[bad].threshold is None) == (bool(reason), bool(reason))
    assert results[bad].needs_review
    assert results[good].outcome == "evaluated"
    assert {name: system.pid(name) for name in pids} == pids
    assert bool(letters(system, str(bad), wait=lettered)) == lettered


def letters(system: System, event: str, *, wait: bool) -> list[dict[str, Any]]:
    """Ask the command for an event's dead letters; where one must come, wait for it."""
    found: list[dict[str, Any]] = []

    def looked() -> bool:
        _, rows = system.command("dlq", "list")
        shown = [system.command("dlq", "show", row["id"])[1][0] for row in rows]
        found[:] = [row for row in shown if row["event_id"] == event]
        return bool(found) or not wait

    until(looked, 30, "no dead letter came")
    return found
