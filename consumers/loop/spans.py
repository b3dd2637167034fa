"""The spans of a group: one a message, from when it was taken to its commit, with its stages; one a transaction.

A message's span is named by its header `traceparent` and the group, so that whoever has the message names the same one.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from consumers.loop.window import InHand
from radstream.broker.contract import Message, Outgoing
from radstream.traces import Span, SpanContext, SpanKind, Traces
from schemas.inference_completed import InferenceCompleted

#: The stages that follow each other up to a result, in order; each ends where the next begins.
STAGES = ("fetch", "decode", "batch", "forward")


def own_span(message: Message, group: str) -> SpanContext | None:
    """Name the span of a group's work on a message; None where the message has no trace."""
    parent = SpanContext.of(message.headers)
    return parent.at(group) if parent else None


def stage_spans(traces: Traces, message: Message, group: str, result: InferenceCompleted) -> None:
    """Tell the stages of a result, which was completed when the last of them ended."""
    own = own_span(message, group) if traces.enabled else None
    if own is None:
        return
    ended = result.completed_at.timestamp()
    for stage in reversed(STAGES):
        if stage in result.stage_ms:
            begun = ended - result.stage_ms[stage] / 1000
            name = {"radstream.model": result.model, "radstream.model_version": result.model_version}
            traces.add(Span(name=stage, own=own.child(), parent=own, begun=begun, ended=ended, attributes=name))
            ended = begun


def batch_spans(
    traces: Traces,
    group: str,
    batch: Sequence[InHand[Any]],
    records: Sequence[Outgoing],
    committed: tuple[datetime, datetime],
) -> None:
    """Tell a batch that became final between two times: the transaction, its messages, and what was published of each.

    The transaction is a trace of its own, linked with every message's: it belongs to none of them alone.
    """
    if not traces.enabled:
        return
    begun, ended = (one.timestamp() for one in committed)
    transaction = SpanContext.root()
    owns = {own.trace: own for item in batch if (own := own_span(item.message, group)) is not None and own.sampled}
    if not owns:
        return
    traces.add(
        Span(
            name="transaction", own=transaction, parent=None, begun=begun, ended=ended, links=list(owns.values()),
            attributes={"radstream.group": group, "messaging.batch.message_count": len(batch)},
        )
    )  # fmt: skip
    for item in batch:
        own = own_span(item.message, group)
        if own is None:
            continue
        topic = item.message.topic
        traces.add(
            Span(
                name=f"process {topic}", own=own, parent=SpanContext.of(item.message.headers), kind=SpanKind.CONSUMER,
                begun=item.first_seen.timestamp(), ended=ended, links=[transaction],
                attributes={"messaging.system": "kafka", "radstream.group": group},
            )
        )  # fmt: skip
        traces.add(Span(name="commit", own=own.child(), parent=own, begun=begun, ended=ended, links=[transaction]))
    for record in records:
        published = SpanContext.of(record.headers)
        if published is not None and published.trace in owns:
            traces.add(
                Span(
                    name=f"publish {record.topic}", own=published, parent=owns[published.trace], begun=begun,
                    ended=ended, kind=SpanKind.PRODUCER, attributes={"messaging.system": "kafka"},
                )
            )  # fmt: skip
