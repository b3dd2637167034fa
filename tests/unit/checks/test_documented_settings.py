"""Every `RADSTREAM_*` name that stands in the code stands in a document, too."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
NAME = re.compile(r"\bRADSTREAM_[A-Z][A-Z0-9_]*[A-Z0-9]\b")
CODE = ("schemas", "radstream", "dicom_listener", "consumers", "streams", "training", "infra", "benchmarks")
#: AE titles, no settings.
AE_TITLES = {"RADSTREAM_STAT", "RADSTREAM_SEND", "RADSTREAM_DEMO"}


def names_in(paths: list[Path]) -> set[str]:
    """Collect the names that stand in these files."""
    return {name for path in paths for name in NAME.findall(path.read_text(errors="replace"))}


def test_every_setting_in_the_code_is_documented() -> None:
    """docs/, README.md or CONTRIBUTING.md explains it."""
    code = [path for room in CODE for path in (ROOT / room).rglob("*") if path.suffix in {".py", ".sh", ".yml"}]
    code += [ROOT / "Makefile", ROOT / "docker-compose.yml", ROOT / "tests" / "conftest.py"]
    documents = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]

    undocumented = names_in([path for path in code if path.exists()]) - names_in(documents) - AE_TITLES

    assert undocumented == set()
