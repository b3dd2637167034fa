"""What a person types, against the whole system: files in, results out, and an exit status that tells the truth."""

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from radstream.phantoms.dicom import SYNTAXES, write_phantoms
from tests.e2e.flood import write_films
from tests.e2e.system import System, films_of
from tests.running import plain_environment

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


def phantoms(folder: Path, count: int) -> list[Path]:
    """Write phantoms that no other test has."""
    now = datetime.now(UTC)
    return write_phantoms(folder, count, int(now.timestamp() * 1e6), now)


def demo(system: System, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the demo on the system that runs."""
    return subprocess.run(
        [sys.executable, "-m", "radstream.commands", "demo", *words],
        env=plain_environment() | {"RADSTREAM_STATE_DIR": str(system.site.state_dir)},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def test_send_takes_every_syntax_to_a_result(system: System, tmp_path: Path) -> None:
    """All syntaxes of the phantoms, HTJ2K too, by `send`; `results --wait` returns them under their own names."""
    files = phantoms(tmp_path, len(SYNTAXES))
    began = datetime.now(UTC)

    sent, rows = system.command("send", str(tmp_path), "--associations", "2")
    system.results_of(system.events(films_of(files)))
    shown, results = system.command("results", "--since", began.isoformat(), "--wait", str(len(files)))

    assert (sent, shown) == (0, 0)
    assert {row["status"] for row in rows} == {"0x0000"}
    names = {row["sop_instance_uid"] for row in rows}
    assert len(names) == len(SYNTAXES)
    assert names <= {row["sop_instance_uid"] for row in results}


def test_stat_goes_by_the_stat_lane(system: System, tmp_path: Path) -> None:
    """`--stat` sets DIMSE Priority HIGH; event and result say so."""
    (file,) = phantoms(tmp_path, 1)
    (event,) = system.events(films_of([file]))

    system.command("send", str(file), "--stat")

    assert system.results_of([event])[event].lane == "stat"
    assert next(one for one in system.received() if one.event_id == event).lane == "stat"


def test_waiting_for_results_that_do_not_come_fails_in_time(system: System) -> None:
    """`--wait` with `--timeout` ends with exit status 1."""
    began = time.monotonic()

    status, rows = system.command("results", "--since", "0s", "--wait", "1000000", "--timeout", "1")

    assert status == 1
    assert rows == []
    assert time.monotonic() - began < 20


def test_drift_counts_what_was_evaluated(system: System, tmp_path: Path) -> None:
    """`drift` shows the windows of every slice, open ones provisional."""
    films = write_films(tmp_path, 1)
    system.command("send", str(films[0].file))
    system.results_of(system.events(films))

    status, windows = system.command("drift", "--model", "chest-pneumonia")

    assert status == 0
    assert {300, 3600, 86400} >= {row["window_seconds"] for row in windows}
    assert all(row["n"] > 0 and row["revision"] >= 1 for row in windows)


def test_demo_shows_all_three_ends_and_fails_when_one_was_refused(system: System, tmp_path: Path) -> None:
    """Evaluated, not evaluated with the reason, and refused stand in the table; labels judge the test part only."""
    (folder := tmp_path / "mixed").mkdir()
    good = [film.file for film in write_films(tmp_path, 3)]
    for number, file in enumerate(good):
        file.rename(folder / f"{number}.png")
    (folder / "labels.csv").write_text("file,label,patient\n0.png,NORMAL,p4\n1.png,NORMAL,n0115\n")
    (folder / "notes.txt").write_text("no image")
    (lateral,) = films_of(phantoms(tmp_path, 1))
    whole = lateral.file.read_bytes()
    (folder / "lateral.dcm").write_bytes(_turned(whole))

    run = demo(system, "--data", str(folder))

    assert run.returncode == 1, run.stdout + run.stderr
    assert "evaluated" in run.stdout
    assert "not evaluated (view)" in run.stdout
    assert "refused (not_dicom)" in run.stdout
    assert "1 of the train part" in run.stdout
    assert "5 files: 4 acknowledged, 4 of them with a result, 1 refused" in run.stdout
    assert system.pid("kafka")


def test_demo_with_phantoms_is_complete_and_claims_no_accuracy(system: System) -> None:
    """A few phantoms through a system that runs already: exit 0, and it is left running."""
    run = demo(system, "--count", "4")

    assert run.returncode == 0, run.stdout + run.stderr
    assert "Complete." in run.stdout
    assert "Agreement" not in run.stdout
    assert "leaves it running" in run.stdout
    assert system.pid("dicom_listener")


def _turned(whole: bytes) -> bytes:
    """Say of a phantom that it is a lateral film: View Position (0018,5101), explicit VR, two letters."""
    tag = b"\x18\x00\x01\x51CS\x02\x00"
    at = whole.index(tag) + len(tag)
    return whole[:at] + b"LL" + whole[at + 2 :]
