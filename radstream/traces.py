"""Traces: where an image's time went, from the listener to the sink, by W3C Trace Context and OpenTelemetry.

A span is told when it is over, with its times: nothing of a trace lives in between, and nothing is done when traces
are off. Attributes are codes, names of groups and counts: never identifiers.
"""

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from hashlib import blake2b
from typing import Protocol, Self

from radstream.settings import Settings
from schemas.errors import SettingInvalid

TRACEPARENT = "traceparent"
#: Version 00: trace id, parent id, flags (w3.org/TR/trace-context).
_FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED = 0x01
_SHARES = 2**32


@unique
class SpanKind(StrEnum):
    """Which side of a message a span is on, in OpenTelemetry's words."""

    INTERNAL = "internal"
    SERVER = "server"
    PRODUCER = "producer"
    CONSUMER = "consumer"


@dataclass(frozen=True, slots=True)
class SpanContext:
    """One span's place: its trace (32 hex digits), itself (16), and whether anybody keeps it."""

    trace: str
    span: str
    sampled: bool = True

    @classmethod
    def of(cls, headers: Mapping[str, bytes]) -> Self | None:
        """Read the header `traceparent`; None where it is absent or malformed.

        >>> SpanContext.of({"traceparent": b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"})
        SpanContext(trace='aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', span='bbbbbbbbbbbbbbbb', sampled=True)
        """
        found = _FORM.fullmatch(headers.get(TRACEPARENT, b"").decode("ascii", "replace"))
        return cls(found[1], found[2], bool(int(found[3], 16) & _SAMPLED)) if found else None

    @classmethod
    def root(cls, share: float = 1.0, token: Callable[[int], str] = secrets.token_hex) -> Self:
        """Begin a trace that is kept with a chance of `share`; `token(n)` gives n random bytes in hex."""
        trace = token(16)
        return cls(trace, token(8), int(trace[-8:], 16) < share * _SHARES)

    def child(self, token: Callable[[int], str] = secrets.token_hex) -> "SpanContext":
        """Begin a span below this one."""
        return SpanContext(self.trace, token(8), self.sampled)

    def at(self, place: str) -> "SpanContext":
        """Name the span below this one that belongs to a place, such as a group: the same at each call.

        >>> here = SpanContext("a" * 32, "b" * 16)
        >>> here.at("sink") == here.at("sink") != here.at("other")
        True
        """
        return SpanContext(self.trace, blake2b(f"{self.span}{place}".encode(), digest_size=8).hexdigest(), self.sampled)

    @property
    def header(self) -> bytes:
        """Write the value of the header `traceparent`."""
        return f"00-{self.trace}-{self.span}-{int(self.sampled):02x}".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span that is over."""

    name: str
    own: SpanContext
    parent: SpanContext | None
    begun: float  # Unix seconds
    ended: float  # Unix seconds
    kind: SpanKind = SpanKind.INTERNAL
    links: Sequence[SpanContext] = ()
    attributes: Mapping[str, str | int | float] | None = None


class Traces(Protocol):
    """Where spans go."""

    enabled: bool
    share: float  # of the images whose trace begins here

    def add(self, span: Span) -> None:
        """Take a span; never waits, never raises. What is not sampled, and what no queue has room for, is dropped."""

    def close(self) -> None:
        """Send what is left, for two seconds at most."""


class NoTraces:
    """Traces are off."""

    enabled = False
    share = 0.0

    def add(self, span: Span) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


NO_TRACES = NoTraces()


def traces_of(settings: Settings, service: str) -> Traces:
    """Give a service's traces; off unless RADSTREAM_OTLP_ENDPOINT is set. Raises SettingInvalid without the packages.

    OpenTelemetry is imported only where it is used: a service without traces installs and loads nothing of it.
    """
    if settings.otlp_endpoint is None:
        return NO_TRACES
    try:
        from radstream.otlp import OtlpTraces  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        raise SettingInvalid(
            f"RADSTREAM_OTLP_ENDPOINT is set and {error.name} is not installed: `pip install 'radstream[traces]'`"
        ) from error
    return OtlpTraces(settings.otlp_endpoint, service, settings.trace_share)
