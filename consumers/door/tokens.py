"""Who may ask at the door: bearer tokens (RFC 6750), kept as SHA-256 hashes.

A line of the file: name:hash in hex. `python -m consumers.door.tokens NAME` prints a new token on standard error, once,
and its line on standard output. Tokens have 256 random bits, so a plain hash is enough: there is nothing to guess, and
a slow one would let anybody keep a core busy. The file is read again when it changes: a token is withdrawn by its line.
"""

import hashlib
import hmac
import secrets
import sys
from pathlib import Path

from radstream.logs import get_log
from schemas.errors import SettingInvalid

_HASH_BYTES = hashlib.sha256().digest_size


class Tokens:
    """The tokens of a file."""

    def __init__(self, path: Path) -> None:
        """Read the file; raise SettingInvalid with the line that is wrong."""
        self._path = path
        self._seen = _state(path)
        self._hashes = _read(path)

    def holder(self, authorization: str) -> str | None:
        """Name who holds the token of an Authorization header; None for nobody. Every line is compared."""
        self._refresh()
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        given = hashlib.sha256(token.strip().encode("utf-8", "replace")).digest()
        found = [name for name, expected in self._hashes.items() if hmac.compare_digest(given, expected)]
        return found[0] if found else None

    def _refresh(self) -> None:
        """Read the file again when it changed; one that can't be read lets nobody in until it can."""
        state = _state(self._path)
        if state == self._seen:
            return
        self._seen = state
        try:
            self._hashes = _read(self._path)
        except SettingInvalid as error:
            self._hashes = {}
            get_log().error("tokens can't be read: nobody is let in", detail=str(error))


def line_of(name: str, token: str) -> str:
    """Write a token's line.

    >>> line_of("console", "t")
    'console:e3b98a4da31a127d4bde6e43033f66ba274cab0eb7eb1c70ec41402bf6273dd8'
    """
    return f"{name}:{hashlib.sha256(token.encode()).hexdigest()}"


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path) -> dict[str, bytes]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise SettingInvalid(f"RADSTREAM_PREDICT_TOKENS={path} can't be read ({type(error).__name__})") from error
    found = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, digits = line.strip().rpartition(":")
        try:
            found[name] = bytes.fromhex(digits)
        except ValueError:
            found[name] = b""
        if not name or len(found[name]) != _HASH_BYTES:
            raise SettingInvalid(
                f"RADSTREAM_PREDICT_TOKENS={path}: line {number} is not name:hash; "
                "`python -m consumers.door.tokens NAME` makes one"
            )
    return found


def main(words: list[str]) -> int:
    """Make a token; give the exit status."""
    if len(words) != 1 or ":" in words[0]:
        print("usage: python -m consumers.door.tokens NAME >> TOKENS", file=sys.stderr)  # noqa: T201 - for a person
        return 2
    token = secrets.token_urlsafe(32)
    print(token, file=sys.stderr)  # noqa: T201 - shown once
    print(line_of(words[0], token))  # noqa: T201 - what it is for
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
