"""Headers: time, trace, and to whom a replay is addressed."""

import re
from datetime import UTC, datetime

import pytest

from consumers.loop.headers import address, onward
from schemas.errors import BadMessage

AT = datetime(2026, 11, 21, 5, 6, 7, tzinfo=UTC)
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_live_record_concerns_everybody() -> None:
    """Without the header nobody passes it by."""
    assert address({}).concerns("sink.postgres")


def test_a_replay_concerns_the_group_it_names() -> None:
    """Others pass it by."""
    found = address({"replay-for": b"inference.m.stat", "replay-revision": b"2"})

    assert found.revision == 2
    assert found.concerns("inference.m.stat")
    assert not found.concerns("inference.m.routine")


@pytest.mark.parametrize("revision", [b"", b"-1", b"0", b"two", b"\xff"])
def test_a_revision_that_is_no_number_is_refused(revision: bytes) -> None:
    """A record that was not made by us goes to the dead letters."""
    with pytest.raises(BadMessage):
        address({"replay-for": b"g", "replay-revision": revision})


def test_the_trace_goes_on_with_a_span_of_its_own() -> None:
    """W3C Trace Context: the trace's id and flags stay, the parent's id is new."""
    made = onward({"traceparent": PARENT}, AT)["traceparent"]

    assert made[:36] == PARENT[:36]
    assert made[36:52] != PARENT[36:52]
    assert made[-3:] == b"-01"


@pytest.mark.parametrize("given", [{}, {"traceparent": b"nonsense"}, {"traceparent": b"\xff" * 55}])
def test_a_missing_or_malformed_trace_begins_a_new_one(given: dict[str, bytes]) -> None:
    """A header from outside can't break ours."""
    assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-01", onward(given, AT)["traceparent"])


def test_the_event_time_is_the_receipt() -> None:
    """RFC 3339, UTC."""
    assert onward({}, AT)["event-time"] == b"2026-11-21T05:06:07+00:00"
