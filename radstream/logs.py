"""Logs: one JSON object a line on standard error, through an allow-list of keys.

A key that is not on the list is dropped and named in `dropped_keys`: patient data can't slip into a log by a new field.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, cast

import structlog
from structlog.typing import FilteringBoundLogger

#: Keys that are known to be free of patient data.
ALLOWED_KEYS = frozenset(
    {
        "event", "level", "timestamp", "service", "exception", "error", "cause", "dropped_keys", "detail",
        "component", "state", "port", "address", "pid", "signal", "version", "setting", "path_kind",
        "calling_ae", "called_ae", "peer", "association", "tls", "status", "policy", "lane", "site", "slot", "route",
        "event_id", "result_id", "window_id", "dead_letter_id", "revision", "trace_id", "step", "command",
        "topic", "partition", "offset", "group", "records", "partitions", "transaction", "watermark",
        "model", "model_version", "engine", "outcome", "reason", "role", "slice", "worker",
        "images", "bytes", "bytes_per_second", "count", "attempts", "seconds", "ms", "ack_ms", "receive_ms",
        "journal_ms", "put_ms", "publish_ms", "fetch_ms", "decode_ms", "batch_ms", "forward_ms", "commit_ms",
        "latency_ms", "transfer_syntax_uid", "sop_class_uid", "depth", "age_seconds", "percent", "closed",
    }
)  # fmt: skip

_Event = MutableMapping[str, Any]


def allow_listed(_logger: object, _method: str, event: _Event) -> _Event:
    """Drop each key that is not on the list, and say which."""
    dropped = sorted(key for key in event if key not in ALLOWED_KEYS)
    for key in dropped:
        del event[key]
    if dropped:
        event["dropped_keys"] = dropped
    return event


def exception_type(_logger: object, _method: str, event: _Event) -> _Event:
    """Keep where an exception came from but not its text, which may quote a data set."""
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given
    if isinstance(error, BaseException):
        frames = []
        trace = error.__traceback__
        while trace is not None:
            frames.append(f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}")
            trace = trace.tb_next
        event["exception"] = f"{type(error).__name__} at {' > '.join(frames[-6:])}"
    return event


def configure(service: str, level: int = logging.INFO) -> None:
    """Set up structlog and the standard library's logging for one service; what is below `level` is left out."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            exception_type,
            allow_listed,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format='{"level": "%(levelname)s", "event": "%(name)s"}'
    )


def get_log() -> FilteringBoundLogger:
    """Give the log; its first argument is the event in the past tense, the rest are allowed keys."""
    return cast("FilteringBoundLogger", structlog.get_logger())
