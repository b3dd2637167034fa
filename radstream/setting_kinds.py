"""How one setting is declared and its text read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from schemas.identity import Pseudonyms

_KEY_BYTES = 32
_WHOLE = 100  # per cent
_FOR_EVER_SECONDS = 1e9
_NICEST = 19


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


def natural(text: str) -> int:
    """Read a whole number, 0 or above."""
    number = int(text)
    if number < 0:
        raise ValueError("use a whole number, or 0")
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


def at_least(least: float) -> Callable[[str], float]:
    """Read a number of seconds that is not below `least`."""

    def parse(text: str) -> float:
        number = float(text)
        if not least <= number < _FOR_EVER_SECONDS:
            raise ValueError(f"use a number of seconds, at least {least:g}")
        return number

    return parse


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


@dataclass(frozen=True, slots=True)
class Peer:
    """Where an application entity is called."""

    host: str
    port: int
    tls: bool = False


def peers(text: str) -> dict[str, Peer]:
    """Read AE=host:port or AE=tls://host:port, separated by commas; an IPv6 address may stand in brackets.

    >>> peers("CT1=ct1:104, MR1=tls://[::1]:2762")
    {'CT1': Peer(host='ct1', port=104, tls=False), 'MR1': Peer(host='::1', port=2762, tls=True)}
    """
    found = {}
    for name in names(text):
        ae, _, address = name.partition("=")
        plain = address.strip().removeprefix("tls://")
        host, _, port = plain.rpartition(":")
        if not ae or not host or "/" in host:
            raise ValueError("use AE=host:port or AE=tls://host:port, separated by commas")
        found[ae.strip()] = Peer(host.strip("[]"), positive(port), tls=plain != address.strip())
    return found


def nice(text: str) -> int:
    """Read what is added to a nice value."""
    found = int(text)
    if not 0 <= found <= _NICEST:
        raise ValueError(f"use 0 to {_NICEST}")
    return found
