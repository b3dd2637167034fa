"""Users and passcodes of the user identity negotiation."""

import subprocess
import sys
from pathlib import Path

import pytest

from dicom_listener.users import USERNAME, USERNAME_AND_PASSCODE, Users, line_of
from schemas.errors import SettingInvalid


@pytest.fixture
def users(tmp_path: Path) -> Users:
    """Give a file with a user, one without a passcode and a comment."""
    path = tmp_path / "users"
    path.write_text(f"# who may send\n{line_of('anna', 'secret')}\nct1\n", "utf-8")
    return Users(path)


@pytest.mark.parametrize(
    ("kind", "name", "passcode", "enters"),
    [
        (USERNAME_AND_PASSCODE, b"anna", b"secret", True),
        (USERNAME_AND_PASSCODE, b"anna", b"wrong", False),
        (USERNAME_AND_PASSCODE, b"anna", b"", False),
        (USERNAME_AND_PASSCODE, b"nobody", b"", False),
        (USERNAME_AND_PASSCODE, b"ct1", b"", False),
        (USERNAME, b"ct1", b"", True),
        (USERNAME, b"anna", b"", False),
        (USERNAME, b"nobody", b"", False),
        (USERNAME_AND_PASSCODE, b"\xff\xfe", b"x", False),
        (3, b"ticket", b"", False),
    ],
)
def test_who_enters(users: Users, kind: int, name: bytes, passcode: bytes, enters: bool) -> None:  # noqa: FBT001
    """Only the right passcode, and a name alone only where the file has the name alone."""
    assert users.may_enter(kind, name, passcode) is enters


@pytest.mark.parametrize("line", ["anna:secret", "anna:00:", "anna:zz:00", "anna::00"])
def test_a_line_that_is_none_is_named(line: str, tmp_path: Path) -> None:
    """The error says which line and how to make one; it does not quote the line."""
    path = tmp_path / "users"
    path.write_text(f"ct1\n{line}\n", "utf-8")

    with pytest.raises(SettingInvalid, match="line 2 is not name:salt:hash") as raised:
        Users(path)
    assert line not in str(raised.value)


def test_the_command_makes_a_line(tmp_path: Path) -> None:
    """`python -m dicom_listener.users NAME` reads a passcode and prints its line."""
    made = subprocess.run(
        [sys.executable, "-m", "dicom_listener.users", "anna"],
        input="secret\n",
        capture_output=True,
        text=True,
        check=True,
    )
    path = tmp_path / "users"
    path.write_text(made.stdout, "utf-8")

    assert Users(path).may_enter(USERNAME_AND_PASSCODE, b"anna", b"secret")
    assert "secret" not in made.stdout
