"""Spans to an OpenTelemetry collector by OTLP over HTTP, from a bounded queue that makes nobody wait."""

import logging
import threading
from collections.abc import Mapping

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, NonRecordingSpan, TraceFlags, set_span_in_context
from opentelemetry.trace import SpanContext as OtelContext
from opentelemetry.trace import SpanKind as OtelKind

from radstream.traces import Span, SpanContext, SpanKind

#: Spans that wait for the collector at most (count); more are dropped.
QUEUED = 8192
_BATCH = 512  # spans of one request (count)
_EVERY_MS = 1_000
_REQUEST_SECONDS = 2
_CLOSE_SECONDS = 2.0
_NANOSECONDS = 1_000_000_000

_KIND_OF: Mapping[SpanKind, OtelKind] = {
    SpanKind.INTERNAL: OtelKind.INTERNAL,
    SpanKind.SERVER: OtelKind.SERVER,
    SpanKind.PRODUCER: OtelKind.PRODUCER,
    SpanKind.CONSUMER: OtelKind.CONSUMER,
}


class _GivenIds(IdGenerator):
    """Ids are ours: they stood in headers before their span was over."""

    def __init__(self) -> None:
        self._next = threading.local()

    def give(self, own: SpanContext) -> None:
        """Say which span this thread tells next."""
        self._next.own = own

    def generate_span_id(self) -> int:
        """Give the told span's id."""
        return int(self._next.own.span, 16)

    def generate_trace_id(self) -> int:
        """Give the told span's trace."""
        return int(self._next.own.trace, 16)


class OtlpTraces:
    """Traces of one service. Thread-safe."""

    enabled = True

    def __init__(self, endpoint: str, service: str, share: float) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # a collector that is away is no news of ours
        self.share = share
        self._ids = _GivenIds()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource({"service.name": service, "service.namespace": "radstream"}),
            shutdown_on_exit=False,
            id_generator=self._ids,
        )
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_REQUEST_SECONDS)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter, max_queue_size=QUEUED, schedule_delay_millis=_EVERY_MS, max_export_batch_size=_BATCH
            )
        )
        self._tracer = self._provider.get_tracer("radstream")

    def add(self, span: Span) -> None:
        """Put a span into the queue."""
        if not span.own.sampled:
            return
        self._ids.give(span.own)
        begun = self._tracer.start_span(
            span.name,
            context=set_span_in_context(NonRecordingSpan(_context(span.parent))) if span.parent else None,
            kind=_KIND_OF[span.kind],
            attributes=span.attributes,
            links=[Link(_context(one)) for one in span.links],
            start_time=int(span.begun * _NANOSECONDS),
        )
        begun.end(int(max(span.begun, span.ended) * _NANOSECONDS))

    def close(self) -> None:
        """Send what is left: in a thread, for a collector that is away must hold up no end."""
        last = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        last.start()
        last.join(_CLOSE_SECONDS)


def _context(one: SpanContext) -> OtelContext:
    return OtelContext(
        int(one.trace, 16), int(one.span, 16), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
