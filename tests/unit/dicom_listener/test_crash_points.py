"""The test setting that kills."""

from pathlib import Path

import pytest

from dicom_listener.crash_points import Step
from radstream.crash_points import CrashPoints
from schemas.errors import SettingInvalid


def test_it_does_nothing_unless_told_to(tmp_path: Path) -> None:
    """In production every step is passed."""
    points = CrashPoints(Step, "", tmp_path / "marker")

    for step in Step:
        points.reach(step)
    assert not (tmp_path / "marker").exists()


def test_it_kills_once(tmp_path: Path) -> None:
    """The marker of the first death disarms it."""
    (tmp_path / "marker").touch()

    assert not CrashPoints(Step, "after-put", tmp_path / "marker").armed(Step.AFTER_PUT)
    assert CrashPoints(Step, "after-put", tmp_path / "other").armed(Step.AFTER_PUT)


def test_an_unknown_step_is_refused(tmp_path: Path) -> None:
    """A typing error must not look like a passing test."""
    with pytest.raises(SettingInvalid, match="after-pot"):
        CrashPoints(Step, "after-pot", tmp_path / "marker")
