"""What became of the acknowledged images of the last while, for Prometheus: asked for by the sink, now and then."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from consumers.meters.looking import looking
from radstream.lag.process import LagProcess
from radstream.reconciliation import Account, count, horizon, reconciled
from radstream.settings import Settings

#: Calling AEs with meters of their own (count): any sender may give itself a name, and meters are not free.
LARGEST_AES = 100
OTHERS = "other"
_FATES = ("acknowledged", "evaluated", "not_evaluated", "waiting", "missing")
_COUNTED = 500  # unread records of a partition, one by one (count)


class AccountMeters(Collector):
    """The meters, all of one moment. Before the first look there are none."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._shown: tuple[list[Account], int, float] | None = None
        registry.register(self)

    def show(self, accounts: Sequence[Account], stat_overdue: int, at: float) -> None:
        """Set everything, counted when it was `at` (Unix seconds)."""
        self._shown = largest(accounts), stat_overdue, at

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the meters."""
        images = GaugeMetricFamily(
            "radstream_images",
            "Images of the last RADSTREAM_RECONCILE_WINDOW_SECONDS, by what became of them (count)",
            labels=["ae", "fate"],
        )
        overdue = GaugeMetricFamily(
            "radstream_stat_overdue_images",
            "Of these, STAT images without a result RADSTREAM_STAT_RESULT_SECONDS after their receipt (count)",
        )
        asked = GaugeMetricFamily("radstream_reconciled_timestamp_seconds", "When this was counted (Unix seconds)")
        if self._shown is not None:
            accounts, late, at = self._shown
            for one in accounts:
                for fate in _FATES:
                    images.add_metric([one.ae, fate], asdict(one)[fate])
            overdue.add_metric([], late)
            asked.add_metric([], at)
        yield from (images, overdue, asked)


def largest(accounts: Sequence[Account], most: int = LARGEST_AES) -> list[Account]:
    """Keep the accounts of the AEs with the most images; the others become one, named `other`. Nothing is lost.

    >>> one = Account(ae="A", acknowledged=2, evaluated=1, not_evaluated=0, waiting=0, missing=1)
    >>> two = Account(ae="B", acknowledged=1, evaluated=1, not_evaluated=0, waiting=0, missing=0)
    >>> [(each.ae, each.acknowledged) for each in largest([one, two], most=1)]
    [('A', 2), ('other', 1)]
    """
    ordered = sorted(accounts, key=lambda one: -one.acknowledged)
    rest: Counter[str] = Counter()
    for one in ordered[most:]:
        rest.update({fate: asdict(one)[fate] for fate in _FATES})
    return ordered[:most] + ([Account(ae=OTHERS, **{fate: rest[fate] for fate in _FATES})] if rest else [])


@contextmanager
def accounts_metered(settings: Settings, meters: AccountMeters | None = None) -> Iterator[None]:
    """Reconcile every `settings.reconcile_seconds` while the block runs, in a thread of its own.

    A server that is away leaves the last values; their timestamp grows old, and an alert says so.
    """
    shown = meters or AccountMeters()
    with looking("account meter", lambda: reconcile(settings, shown), settings.reconcile_seconds, lambda: None):
        yield


def reconcile(settings: Settings, meters: AccountMeters) -> None:
    """Count once, groups before rows; what waits in a listener's spool is its own meter's. Raises Unavailable."""
    asked = datetime.now(UTC)
    with closing(LagProcess(settings, 1, _COUNTED)) as watch:
        before = horizon(watch.look(), asked)
    since = asked - timedelta(seconds=settings.reconcile_window_seconds)
    counts = count(settings, since, before, asked - timedelta(seconds=settings.stat_result_seconds))
    meters.show(reconciled(counts, {}), sum(one.stat_overdue for one in counts), asked.timestamp())
