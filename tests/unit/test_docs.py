"""The docs tell the truth: their tables are the code's."""

import runpy
from pathlib import Path

import pytest

from consumers.door.words import STATUSES

DOCS = Path(__file__).parents[2] / "docs"
PAGES = runpy.run_path(str(DOCS / "tables.py"))["PAGES"]


@pytest.mark.parametrize("name", PAGES)
def test_page_is_the_one_that_the_code_makes(name: str) -> None:
    """After a change run `python docs/tables.py`."""
    assert (DOCS / name).read_text("utf-8") == PAGES[name]()


def test_the_doors_statuses_are_the_codes() -> None:
    """docs/predict.md has a row for each status, in the code's words."""
    page = (DOCS / "predict.md").read_text("utf-8")

    assert [
        row for row in (f"| {int(status)} | {meaning} |" for status, meaning in STATUSES.items()) if row not in page
    ] == []
