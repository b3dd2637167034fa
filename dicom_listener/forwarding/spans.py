"""The spans of an image in the listener: received, registered, stored, published; the last one stands in its event."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

from radstream.traces import Span, SpanContext, SpanKind, Traces

if TYPE_CHECKING:
    from dicom_listener.forwarding.work import Work

#: Steps of the forwarder, in order; each names the span that its image gets.
JOURNAL, PUT, PUBLISH = "journal", "put", "publish"


class Way:
    """What is noted of one image while it is forwarded, where traces are on."""

    def __init__(self, share: float, receive_s: float) -> None:
        """`receive_s`: how long its bytes took to arrive (seconds); 0 for one that was taken from the disk."""
        self.root = SpanContext.root(share)
        self.published = self.root.child()
        self.receive_s = receive_s
        self.steps: dict[str, tuple[float, float]] = {}  # Unix seconds: begun, ended

    def step(self, name: str, begun: float, ended: float) -> None:
        """Note when a step ran; of one that was tried again, the last time counts."""
        self.steps[name] = (begun, ended)


@contextmanager
def timed(works: "Iterable[Work]", name: str) -> Iterator[None]:
    """Note a step of some images that have a way to note it on; one that fails is not noted."""
    begun = time.time()
    yield
    ended = time.time()
    for work in works:
        if work.way is not None:
            work.way.step(name, begun, ended)


def headers(works: "Iterable[Work]") -> Mapping[UUID, bytes]:
    """Give each event's header `traceparent`, where traces are on."""
    return {work.event.event_id: work.way.published.header for work in works if work.event and work.way}


def tell(traces: Traces, work: "Work") -> None:
    """Tell the spans of an image that is in the log."""
    way = work.way
    if way is None:
        return
    note = work.entry.note
    received = note.received_at.timestamp()
    begun, ended = received - way.receive_s, max([received, *(end for _, end in way.steps.values())])
    attributes: dict[str, str | int | float] = {"radstream.lane": str(note.lane), "radstream.bytes": note.size_bytes}
    traces.add(
        Span(
            name="receive image", own=way.root, parent=None, begun=begun, ended=ended, kind=SpanKind.SERVER,
            attributes=attributes,
        )
    )  # fmt: skip
    for name, (start, end) in way.steps.items():
        own, kind = (way.published, SpanKind.PRODUCER) if name == PUBLISH else (way.root.child(), SpanKind.INTERNAL)
        traces.add(Span(name=name, own=own, parent=way.root, begun=start, ended=end, kind=kind))
