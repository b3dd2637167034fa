"""Routes: which lane and site, and what a file of routes may say."""

from pathlib import Path

import pytest

from dicom_listener.receiving.routes import DEFAULT_ROUTES, Sent, read_routes, route
from schemas.errors import SettingInvalid
from schemas.words import Lane

ROUTINE = Sent(called_ae="RADSTREAM", calling_ae="CT1", priority=0, procedure_priority=None)


def _file(folder: Path, text: str) -> Path:
    path = folder / "routes.toml"
    path.write_text(text)
    return path


def test_the_first_match_wins_and_gives_lane_and_site(tmp_path: Path) -> None:
    """Conditions of one route must all hold; the table is read from above."""
    routes = read_routes(
        _file(
            tmp_path,
            """
            [[route]]
            calling_ae = "CT1"
            priority = "high"
            lane = "stat"
            site = "emergency"
            [[route]]
            calling_ae = "CT1"
            site = "north"
            """,
        )
    )

    assert route(routes, Sent(called_ae="X", calling_ae="CT1", priority=1, procedure_priority=None)) == (
        Lane.STAT,
        "emergency",
    )
    assert route(routes, ROUTINE) == (Lane.ROUTINE, "north")


def test_no_match_is_routine_at_the_calling_ae() -> None:
    """An empty table loses nothing."""
    assert route((), ROUTINE) == (Lane.ROUTINE, "CT1")


@pytest.mark.parametrize("priority", ["STAT", "HIGH"])
def test_the_data_sets_priority_counts_by_default(priority: str) -> None:
    """Requested Procedure Priority STAT or HIGH is the STAT lane."""
    sent = Sent(called_ae="RADSTREAM", calling_ae="CT1", priority=0, procedure_priority=priority)

    assert route(DEFAULT_ROUTES, sent)[0] is Lane.STAT


def test_low_and_medium_priorities_are_routine() -> None:
    """DIMSE Priority 0 (medium) and 2 (low) don't overtake."""
    lanes = {
        route(DEFAULT_ROUTES, Sent(called_ae="R", calling_ae="C", priority=number, procedure_priority="LOW"))[0]
        for number in (0, 2)
    }

    assert lanes == {Lane.ROUTINE}


@pytest.mark.parametrize(
    "text",
    [
        '[[route]]\nlane = "urgent"',
        '[[route]]\ncaling_ae = "CT1"',
        '[[route]]\npriority = "soon"',
        "[[route]]\npriority = 1",
        "no toml",
    ],
)
def test_a_wrong_table_is_refused_by_name(text: str, tmp_path: Path) -> None:
    """One line says which setting and what is wrong."""
    with pytest.raises(SettingInvalid, match="RADSTREAM_ROUTES"):
        read_routes(_file(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A path that leads nowhere is no empty table."""
    with pytest.raises(SettingInvalid, match="RADSTREAM_ROUTES"):
        read_routes(tmp_path / "none.toml")
