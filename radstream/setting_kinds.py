"""How one setting is declared and its text read."""

from collections.abc import Callable
from dataclasses import field
from ipaddress import ip_network
from typing import Any

from schemas.identity import Pseudonyms

_KEY_BYTES = 32
_WHOLE = 100  # per cent
_FOR_EVER_SECONDS = 1e9


def setting(default: str | None, doc: str, parse: Callable[[str], Any] = str, *, secret: bool = False) -> Any:
    """Declare a setting: its default as text (None: unset), its meaning with its unit, how its text is read."""
    return field(metadata={"default": default, "doc": doc, "parse": parse}, repr=not secret)


def flag(text: str) -> bool:
    """Read 0 or 1."""
    if text not in {"0", "1"}:
        raise ValueError("use 0 or 1")
    return text == "1"


def names(text: str) -> tuple[str, ...]:
    """Read names, separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def key(text: str) -> bytes:
    """Read a key of 32 bytes in hex."""
    key = bytes.fromhex(text)
    if len(key) != _KEY_BYTES:
        raise ValueError(f"use {2 * _KEY_BYTES} hexadecimal digits")
    return key


def former_keys(text: str) -> tuple[Pseudonyms, ...]:
    """Read id:key pairs, separated by commas."""
    pairs = (pair.partition(":") for pair in names(text))
    return tuple(Pseudonyms(key(digits), key_id) for key_id, _, digits in pairs)


def networks(text: str) -> tuple[str, ...]:
    """Read addresses and networks (CIDR), separated by commas."""
    return tuple(str(ip_network(name, strict=False)) for name in names(text))


def fingerprints(text: str) -> tuple[str, ...]:
    """Read SHA-256 fingerprints in hex, with or without colons, separated by commas."""
    found = tuple(name.replace(":", "").lower() for name in names(text))
    if any(len(bytes.fromhex(one)) != _KEY_BYTES for one in found):
        raise ValueError(f"use {2 * _KEY_BYTES} hexadecimal digits each")
    return found


def one_of(*choices: str) -> Callable[[str], str]:
    """Read one of these words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"use one of {', '.join(choices)}")
        return text

    return parse


def positive(text: str) -> int:
    """Read a whole number above 0."""
    number = int(text)
    if number < 1:
        raise ValueError("use a whole number above 0")
    return number


def seconds(text: str) -> float:
    """Read a number of seconds above 0."""
    number = float(text)
    if not number > 0:
        raise ValueError("use a number of seconds above 0")
    return number


def seconds_or_none(text: str) -> float:
    """Read a number of seconds, 0 or above."""
    number = float(text)
    if not 0 <= number < _FOR_EVER_SECONDS:
        raise ValueError("use a number of seconds, or 0")
    return number


def share(text: str) -> float:
    """Read a share, from 0 to 1."""
    number = float(text)
    if not 0 <= number <= 1:
        raise ValueError("use a number from 0 to 1")
    return number


def percent(text: str) -> float:
    """Read per cent, above 0 and up to 100."""
    number = float(text)
    if not 0 < number <= _WHOLE:
        raise ValueError("use per cent, above 0 and up to 100")
    return number


def peers(text: str) -> dict[str, tuple[str, int]]:
    """Read AE=host:port, separated by commas."""
    found = {}
    for name in names(text):
        ae, _, address = name.partition("=")
        host, _, port = address.rpartition(":")
        if not ae or not host:
            raise ValueError("use AE=host:port, separated by commas")
        found[ae.strip()] = (host, positive(port))
    return found
