"""Groups as the broker sees them, for Prometheus: whoever reads them, and while they hang."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import REGISTRY, CollectorRegistry, Gauge

from consumers.meters.looking import looking
from radstream.lag.lag import GroupLag
from radstream.lag.process import LagProcess
from radstream.lag.rules import LagState
from radstream.settings import Settings

#: Looks that one verdict rests on: as many as Burrow's own.
LOOKS = 10
#: Unread records of a partition are counted one by one up to here (count): a look must stay cheap under a backlog.
COUNTED = 500


class LagGauges:
    """The meters of lag. A group that could not be asked keeps its last values, and its age tells."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        labels = ["group", "lane"]
        self._messages = Gauge(
            "radstream_lag_messages", "Committed records that a group has not done yet (count)", labels,
            registry=registry,
        )  # fmt: skip
        self._seconds = Gauge(
            "radstream_lag_seconds", "Age of the first unread record in the log (seconds)", labels, registry=registry
        )
        self._oldest = Gauge(
            "radstream_oldest_waiting_seconds", "Time since the receipt of the first unread image (seconds)", labels,
            registry=registry,
        )  # fmt: skip
        self._state = Gauge(
            "radstream_lag_state", "1 for the group's state by Burrow's rules, 0 for the others", [*labels, "state"],
            registry=registry,
        )  # fmt: skip
        self._looked = Gauge(
            "radstream_lag_looked_timestamp_seconds", "When the broker was last asked (Unix seconds)", labels,
            registry=registry,
        )  # fmt: skip

    def show(self, one: GroupLag, at: float) -> None:
        """Set one group's meters, looked at when it was `at` (Unix seconds)."""
        labels = (one.group, one.lane or "")
        self._messages.labels(*labels).set(one.lag_messages)
        self._seconds.labels(*labels).set(one.lag_seconds)
        self._oldest.labels(*labels).set(one.oldest_waiting_seconds)
        for state in LagState:
            self._state.labels(*labels, state).set(state is one.state)
        self._looked.labels(*labels).set(at)


@contextmanager
def lag_metered(settings: Settings, groups: Sequence[str] = (), gauges: LagGauges | None = None) -> Iterator[None]:
    """Measure groups every `settings.lag_look_seconds` while the block runs, in a thread of its own.

    Without names all of ours are measured: a group whose service is down can't speak for itself.
    """
    meters, watch = gauges or LagGauges(), LagProcess(settings, LOOKS, COUNTED)

    def look() -> None:
        for one in watch.look(groups):
            meters.show(one, time.time())

    with looking("lag meter", look, settings.lag_look_seconds, watch.close):
        yield
