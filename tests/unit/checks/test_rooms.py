"""The rooms' boundaries hold, and a breach of any of them is seen."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROOMS = ("schemas", "radstream", "dicom_listener", "consumers", "streams", "training")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter in a copy of the source."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy the rooms and the contracts."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def test_the_rooms_keep_their_boundaries(copy: Path) -> None:
    """The source as it stands breaks no contract."""
    result = lint(copy)

    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


@pytest.mark.parametrize(
    ("room", "imported", "contract"),
    [
        ("schemas", "radstream.settings", "The language of the system"),
        ("radstream", "consumers", "The ground floor imports no room"),
        ("radstream", "radstream.commands.up", "Nobody imports the commands"),
        ("streams", "radstream.commands.up", "Nobody imports the commands"),
        ("streams", "consumers", "Stages meet in topics"),
        ("dicom_listener", "streams", "Stages meet in topics"),
        ("training", "consumers.loop.loop", "Stages meet in topics"),
        ("consumers/imaging", "consumers.packages.package", "A part of the consumers"),
        ("consumers/loop", "consumers.inference.forward", "A part of the consumers"),
        ("consumers/results", "consumers.loop.window", "A part of the consumers"),
        ("dicom_listener/forwarding", "dicom_listener.receiving.reception", "A part of the listener"),
        ("dicom_listener/stow", "dicom_listener.commitment.words", "A part of the listener"),
        ("radstream/broker", "radstream.lag.rules", "Parts of the ground floor"),
    ],
)
def test_an_import_upward_is_seen(copy: Path, room: str, imported: str, contract: str) -> None:
    """One forbidden import in one file breaks the contract that forbids it."""
    (copy / room / "upward.py").write_text(f'"""Breaks a boundary."""\n\nimport {imported}\n')

    result = lint(copy)

    assert result.returncode == 1
    verdict = re.search(rf"^{contract}.*?(KEPT|BROKEN)", result.stdout, re.DOTALL | re.MULTILINE)
    assert verdict is not None, result.stdout
    assert verdict[1] == "BROKEN", result.stdout


@pytest.mark.parametrize("room", ["consumers", "dicom_listener"])
def test_a_part_without_a_place_among_the_parts_is_seen(copy: Path, room: str) -> None:
    """A file or folder that is new in the room is put among the layers before it may stand there."""
    (copy / room / "odds.py").write_text('"""Belongs to no part."""\n')

    result = lint(copy)

    assert result.returncode == 1
    assert f"{room}.odds" in result.stdout
