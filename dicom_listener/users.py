"""Users and passcodes of the user identity negotiation (PS3.7 D.3.3.7); passcodes are kept as scrypt hashes.

A line of the file: name:salt:hash, both in hex; `python -m dicom_listener.users NAME` reads a passcode from standard
input and prints one. A line `name` alone lets a user in who gives no passcode.
"""

import hashlib
import hmac
import os
import sys
from pathlib import Path

from schemas.errors import SettingInvalid

USERNAME, USERNAME_AND_PASSCODE = 1, 2  # PS3.7 table D.3-14
_SALT_BYTES = 16
#: RFC 7914 2: cost, block size, parallelism; 16 MiB of memory for each check.
_COST, _BLOCK, _PARALLEL = 2**14, 8, 1


class Users:
    """Who may send."""

    def __init__(self, path: Path) -> None:
        """Read the file; raise SettingInvalid with the line that is wrong."""
        self._hashes: dict[str, tuple[bytes, bytes] | None] = {}
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise SettingInvalid(f"RADSTREAM_USER_IDENTITY={path} can't be read ({type(error).__name__})") from error
        for number, line in enumerate(lines, start=1):
            if line.strip() and not line.startswith("#"):
                name, _, rest = line.strip().partition(":")
                try:
                    self._hashes[name] = _parsed(rest) if rest else None
                except ValueError as error:
                    raise SettingInvalid(
                        f"RADSTREAM_USER_IDENTITY={path}: line {number} is not name:salt:hash; "
                        "`python -m dicom_listener.users NAME` makes one"
                    ) from error

    def may_enter(self, kind: int, name: bytes, passcode: bytes) -> bool:
        """Say whether a user is known; takes as long for a name that is not. Kinds other than 1 and 2 are not."""
        known = self._hashes.get(name.decode("utf-8", "replace"), (b"", b""))
        if kind == USERNAME:
            return known is None
        if kind != USERNAME_AND_PASSCODE or known is None:
            return False
        salt, expected = known
        return hmac.compare_digest(hashed(passcode, salt), expected)


def hashed(passcode: bytes, salt: bytes) -> bytes:
    """Hash a passcode."""
    return hashlib.scrypt(passcode, salt=salt, n=_COST, r=_BLOCK, p=_PARALLEL, dklen=32)


def line_of(name: str, passcode: str) -> str:
    """Write the line of a user."""
    salt = os.urandom(_SALT_BYTES)
    return f"{name}:{salt.hex()}:{hashed(passcode.encode(), salt).hex()}"


def _parsed(text: str) -> tuple[bytes, bytes]:
    salt, _, digest = text.partition(":")
    if not salt or not digest:
        raise ValueError(text)
    return bytes.fromhex(salt), bytes.fromhex(digest)


if __name__ == "__main__":
    if len(sys.argv) != 2 or ":" in sys.argv[1]:  # noqa: PLR2004 - the program and the name
        sys.exit("usage: python -m dicom_listener.users NAME < PASSCODE")
    print(line_of(sys.argv[1], sys.stdin.readline().rstrip("\n")))  # noqa: T201 - what it is for
