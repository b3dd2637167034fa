"""The streams' metrics."""

from prometheus_client import Counter, Gauge

RESULTS = Counter("radstream_streams_results", "Results read from the log, repeats included (count).")
WINDOWS = Counter("radstream_streams_windows", "Statements about windows, repeats included (count).")
DEAD_LETTERS = Counter("radstream_streams_dead_letters", "Records put aside, by cause (count).", ["cause"])
COMPLETE_UNTIL = Gauge(
    "radstream_streams_complete_until_seconds", "Until when all is counted and merged (seconds since 1970, UTC)."
)
