"""The headers of records: event time, trace, and to whom a replay is addressed (ARCHITECTURE.md, "Topics")."""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from schemas.errors import BadMessage

EVENT_TIME = "event-time"
TRACEPARENT = "traceparent"
REPLAY_FOR = "replay-for"
REPLAY_REVISION = "replay-revision"
#: On a recall: the version that answers, and the result that its answer takes the place of.
REPLAY_VERSION = "replay-version"
REPLAY_SUPERSEDES = "replay-supersedes"

#: W3C Trace Context, version 00: trace id, parent id, flags.
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})")
_FIRST_REVISION = 1


@dataclass(frozen=True, slots=True)
class Address:
    """For whom a record is, and which revision of the result it asks for."""

    group: str | None  # None: for everybody
    revision: int
    version: str | None = None  # on a recall: who answers, whatever the deployments say
    supersedes: UUID | None = None  # on a recall: the result that is replaced

    def concerns(self, group: str) -> bool:
        """Say whether a group must handle it: others pass a replay by."""
        return self.group in {None, group}


def address(headers: Mapping[str, bytes]) -> Address:
    """Read to whom a record is addressed; raise BadMessage for a revision that is no number, or an id that is none.

    >>> address({"replay-for": b"sink.postgres", "replay-revision": b"3"})
    Address(group='sink.postgres', revision=3, version=None, supersedes=None)
    """
    group = headers.get(REPLAY_FOR)
    revision = headers.get(REPLAY_REVISION, b"1")
    if not revision.isdigit() or int(revision) < _FIRST_REVISION:
        raise BadMessage(f"header {REPLAY_REVISION} of {len(revision)} bytes is no number from {_FIRST_REVISION}")
    return Address(_text(group), int(revision), _text(headers.get(REPLAY_VERSION)), _id(headers.get(REPLAY_SUPERSEDES)))


def onward(
    headers: Mapping[str, bytes], event_time: datetime, token: Callable[[int], str] = secrets.token_hex
) -> dict[str, bytes]:
    """Give the headers of what is written because of a record: its time, and a span of its own in the same trace.

    A record without a trace, or with a malformed one, begins a new trace. `token(n)` gives n random bytes in hex.

    >>> from datetime import UTC
    >>> onward({}, datetime(2026, 1, 2, tzinfo=UTC), token=lambda n: "ab" * n)["event-time"]
    b'2026-01-02T00:00:00+00:00'
    """
    found = _TRACEPARENT.fullmatch(headers.get(TRACEPARENT, b"").decode("ascii", "replace"))
    trace, flags = (found[1], found[2]) if found else (token(16), "01")
    return {EVENT_TIME: event_time.isoformat().encode(), TRACEPARENT: f"00-{trace}-{token(8)}-{flags}".encode()}


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")


def _id(value: bytes | None) -> UUID | None:
    try:
        return None if value is None else UUID(value.decode("ascii"))
    except ValueError as error:
        raise BadMessage(f"header {REPLAY_SUPERSEDES} of {len(value or b'')} bytes is no id") from error
