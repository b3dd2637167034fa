"""From DCMTK's `storescu`, as a PACS sends, to the results in the log, in PostgreSQL and by the command."""

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from radstream.phantoms.dicom import phantom
from tests.e2e.system import System, films_of
from tests.running import until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

REAL = Path(__file__).parents[3] / "shared" / "data" / "dicom"

#: `storescu` proposes one syntax beside the uncompressed ones, by flag. DCMTK 3.6.7 knows no HTJ2K: `send` covers it.
FLAG: Mapping[str, str] = {
    ExplicitVRLittleEndian: "-x=",
    ImplicitVRLittleEndian: "-xi",
    JPEGBaseline8Bit: "-xy",
    JPEGLosslessSV1: "-xs",
    JPEGLSLossless: "-xt",
    JPEG2000Lossless: "-xv",
    RLELossless: "-xr",
}


def storescu(system: System, flag: str, *files: Path) -> None:
    """Send files as they stand; fail with what DCMTK says."""
    run = subprocess.run(
        ["storescu", "-v", flag, "-aet", "PACS", "-aec", "RADSTREAM", "127.0.0.1", str(system.settings.dicom_port)]
        + [str(file) for file in files],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def phantom_file(folder: Path, syntax: str, number: int) -> Path:
    """Write one phantom that no other test has."""
    path = folder / f"{number}.dcm"
    now = datetime.now(UTC)
    phantom(int(now.timestamp() * 1e6), number, now, syntax).save_as(path, enforce_file_format=True)
    return path


def test_each_syntax_ends_as_a_result_everywhere(system: System, tmp_path: Path) -> None:
    """Every syntax that DCMTK can send is evaluated: in the log once, in PostgreSQL, and by the command, by name."""
    paths = {syntax: phantom_file(tmp_path, syntax, number) for number, syntax in enumerate(FLAG)}

    for syntax, path in paths.items():
        storescu(system, FLAG[syntax], path)

    events = system.events(films_of(list(paths.values())))
    results = system.results_of(events)
    assert {UID(one.transfer_syntax_uid).name for one in results.values()} == {UID(syntax).name for syntax in FLAG}
    assert {one.outcome for one in results.values()} == {"evaluated"}
    assert set(system.stored(events).values()) == {"evaluated"}
    for event, film in events.items():
        status, (row,) = system.command("results", "--study", film.study_instance_uid, "--wait", "1")
        assert status == 0
        assert row["result_id"] == str(results[event].result_id)
        assert (row["sop_instance_uid"], row["pseudonymous"]) == (film.sop_instance_uid, False)
        assert set(row["probabilities"]) == {"NORMAL", "PNEUMONIA"}
        assert row["finding"] in row["probabilities"]


@pytest.mark.skipif(
    not REAL.is_dir(), reason="no ../shared/data/dicom: real DICOM files are not part of the repository"
)
def test_real_films_are_evaluated_and_two_of_one_uid_stay_two(system: System) -> None:
    """Real radiographs: one UID with two contents is two events, the second a revision that supersedes the first."""
    files = sorted(REAL.glob("*.dcm"))

    storescu(system, "-xy", *files)

    events = system.events(films_of(files))
    results = system.results_of(events)
    received = {one.event_id: one for one in system.received() if one.event_id in events}
    assert len(events) == len(files) == 2
    assert {one.outcome for one in results.values()} == {"evaluated"}
    assert sorted(one.revision for one in received.values()) == [1, 2]
    (revised,) = (one for one in received.values() if one.supersedes)
    assert revised.supersedes in events


def test_no_event_and_no_result_names_the_patient(system: System, tmp_path: Path) -> None:
    """What stands in the log holds neither the name nor an identifier of the patient or the study (promise 7)."""
    path = phantom_file(tmp_path, ExplicitVRLittleEndian, 100)
    storescu(system, "-x=", path)
    (film,) = films_of([path])
    (event,) = system.events([film])
    result = system.results_of([event])[event]

    (received,) = (one for one in system.received() if one.event_id == event)

    said = f"{result} {received}"
    assert film.sop_instance_uid not in said
    assert film.study_instance_uid not in said
    assert "PHANTOM^" not in said
    assert "PHANTOM-" not in said


def test_a_repeat_is_acknowledged_and_nothing_is_done_twice(system: System, tmp_path: Path) -> None:
    """Same UID and same bytes: Success, one event, one result."""
    path = phantom_file(tmp_path, JPEGBaseline8Bit, 200)
    storescu(system, "-xy", path)
    (event,) = system.events(films_of([path]))
    system.results_of([event])

    storescu(system, "-xy", path)
    after = phantom_file(tmp_path, JPEGBaseline8Bit, 201)
    storescu(system, "-xy", after)
    system.results_of(system.events(films_of([after])))

    assert sum(one.event_id == event for one in system.received()) == 1
    assert sum(one.event_id == event for one in system.completed()) == 1


def test_the_commands_agree_that_nothing_is_missing(system: System, tmp_path: Path) -> None:
    """`reconcile` finds each acknowledged image's result, `lag` finds nobody behind, `drift` has counted."""
    path = phantom_file(tmp_path, ExplicitVRLittleEndian, 300)
    storescu(system, "-x=", path)
    system.stored(system.events(films_of([path])))

    status, accounts = system.command("reconcile")
    until(lambda: {one["state"] for one in system.command("lag")[1]} == {"OK"}, 60, "a group stays behind")
    _, groups = system.command("lag")

    assert status == 0
    (mine,) = (one for one in accounts if one["ae"] == "PACS")
    assert mine["acknowledged"] == mine["evaluated"] + mine["not_evaluated"] > 0
    assert {(one["group"], one["lane"]) for one in groups} >= {
        ("inference.chest-pneumonia.stat", "stat"),
        ("inference.chest-pneumonia.routine", "routine"),
        ("sink.postgres", None),
        ("streams", None),
    }
