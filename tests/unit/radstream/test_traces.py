"""Trace context in headers, spans that are over, and an exporter that makes nobody wait."""

import subprocess
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radstream.otlp import OtlpTraces
from radstream.settings import Settings
from radstream.traces import NO_TRACES, Span, SpanContext, traces_of
from tests.collector import Collector

HERE = SpanContext("a" * 32, "b" * 16)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8), st.booleans())
def test_a_context_survives_its_header(trace: bytes, span: bytes, sampled: bool) -> None:  # noqa: FBT001 - a property
    """Written and read, it is the same (W3C Trace Context, version 00)."""
    one = SpanContext(trace.hex(), span.hex(), sampled)

    assert SpanContext.of({"traceparent": one.header}) == one


@pytest.mark.parametrize("value", [b"", b"nonsense", b"\xff" * 55, b"01-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"])
def test_a_header_of_another_form_is_no_context(value: bytes) -> None:
    """Nothing is guessed."""
    assert SpanContext.of({"traceparent": value}) is None


def test_spans_below_one_stay_in_its_trace() -> None:
    """A child is new each time; the span at a place is the same each time, and another for another place."""
    assert HERE.child().trace == HERE.at("g").trace == HERE.trace
    assert HERE.child() != HERE.child()
    assert HERE.at("g") == HERE.at("g")
    assert HERE.at("g") != HERE.at("h")


@given(st.floats(0, 1))
def test_a_share_of_the_traces_is_kept_by_their_ids(share: float) -> None:
    """None of 0, all of 1, and in between by the trace's own digits, so that every service agrees."""
    lowest = SpanContext.root(share, token=lambda n: "00" * n)
    highest = SpanContext.root(share, token=lambda n: "ff" * n)

    assert (lowest.sampled, highest.sampled) == (share > 0, share > 1 - 2**-32)


def test_without_an_endpoint_there_are_no_traces() -> None:
    """And nothing of OpenTelemetry is loaded."""
    settings = Settings.from_environment({})

    assert traces_of(settings, "sink") is NO_TRACES
    assert traces_of(replace(settings, otlp_endpoint="http://127.0.0.1:9"), "sink").enabled


def test_a_span_arrives_with_its_place_and_one_that_is_not_sampled_does_not() -> None:
    """Ids, parent, times and links are those that were told."""
    collector = Collector()
    traces = OtlpTraces(collector.address, "test", 1.0)
    own, other = HERE.child(), SpanContext.root()

    traces.add(Span(name="told", own=own, parent=HERE, begun=1.5, ended=2.0, links=[other]))
    traces.add(Span(name="not told", own=SpanContext("c" * 32, "d" * 16, sampled=False), parent=None, begun=1, ended=2))
    traces.close()

    collector.close()
    ((service, span),) = collector.spans
    assert (service, span.name, span.trace_id.hex(), span.span_id.hex()) == ("test", "told", own.trace, own.span)
    assert (span.parent_span_id.hex(), span.links[0].span_id.hex()) == (HERE.span, other.span)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (1_500_000_000, 2_000_000_000)


def test_a_collector_that_is_away_makes_nobody_wait() -> None:
    """More spans than the queue holds are taken and dropped; the process ends in time."""
    began = time.monotonic()

    subprocess.run([sys.executable, "-c", AWAY], check=True, timeout=60)

    assert time.monotonic() - began < 30


AWAY = """
from radstream.otlp import QUEUED, OtlpTraces
from radstream.traces import Span, SpanContext

traces = OtlpTraces("http://127.0.0.1:9", "test", 1.0)
span = Span(name="s", own=SpanContext.root(), parent=None, begun=1.0, ended=2.0)
for _ in range(2 * QUEUED):
    traces.add(span)
traces.close()
"""
