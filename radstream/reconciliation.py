"""Whether each acknowledged image has its result: acknowledged = evaluated + not evaluated + waiting + missing.

For `radstream reconcile`, and for the sink's meters and the alerts on them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from radstream.lag.lag import GroupLag, measure
from radstream.postgres import connect, translated
from radstream.settings import Settings
from radstream.spool import spool
from radstream.spool.entry import Note

#: Groups that stand between an acknowledged image and its row, by the beginning of their names.
INFERENCE = "inference."
SINK = "sink.postgres"

#: What is under way in no topic: a batch between its records and its commit.
IN_FLIGHT = timedelta(seconds=15)  # a transaction's timeout and the sink's own batch

_OUTCOMES: tuple[str | None, ...] = ("evaluated", "not_evaluated", None)

#: A result of any role but a shadow's is the image's; revisions of one result are one row. Bounded by `since`, it reads
#: the journal by its index of acknowledgement, and the results by theirs of events.
_EVENTS = """
    SELECT journal.calling_ae, found.outcome, count(*),
           count(*) FILTER (WHERE journal.published_at < %(horizon)s),
           count(*) FILTER (WHERE journal.lane = 'stat' AND journal.received_at < %(due)s)
    FROM journal
    LEFT JOIN LATERAL (
        SELECT outcome FROM inference_results
        WHERE inference_results.event_id = journal.event_id AND role <> 'shadow'
        ORDER BY completed_at DESC LIMIT 1
    ) AS found ON true
    WHERE journal.acknowledged_at IS NOT NULL
      AND (%(since)s::timestamptz IS NULL OR journal.acknowledged_at >= %(since)s)
    GROUP BY journal.calling_ae, found.outcome
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What became of one calling AE's images. `acknowledged` = the sum of the four others."""

    ae: str
    acknowledged: int
    evaluated: int
    not_evaluated: int
    waiting: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Events of one calling AE that ended in the same way."""

    ae: str
    outcome: str | None  # None: no result yet
    events: int
    due: int  # of these, published so long ago that a row must be there
    stat_overdue: int  # of these, STAT and received before the asked time


def accounts(settings: Settings, since: datetime | None = None) -> list[Account]:
    """Ask the groups, the journal, the results and the spool, in this order; raise KafkaDown, PostgresDown.

    The groups come first: what they had passed by then must have its row when the rows are read.
    """
    asked = datetime.now(UTC)
    before = horizon(measure(settings), asked)
    counts = count(settings, since, before, asked)
    spooled = Counter(note.calling_ae for note in spool.waiting(settings.spool) if _is_since(note, since))
    return reconciled(counts, spooled)


def horizon(groups: Iterable[GroupLag], asked: datetime) -> datetime:
    """Say which images are due: those that were published before this time and have no row are missing.

    A group that is behind moves it back to the first record that it has not read; nothing younger can be judged.
    """
    behind = [
        max(one.lag_seconds, one.oldest_waiting_seconds)
        for one in groups
        if one.lag_messages and (one.group.startswith(INFERENCE) or one.group == SINK)
    ]
    return asked - IN_FLIGHT - timedelta(seconds=max(behind, default=0.0))


def count(settings: Settings, since: datetime | None, before: datetime, due: datetime) -> list[Counted]:
    """Count the journal's events acknowledged since a time (None: ever); raise PostgresDown.

    `before` is the horizon; `due` is the receipt before which a STAT image must have its result.
    """
    with translated(), closing(connect(settings, "radstream-reconcile")) as connection, connection.cursor() as cursor:
        cursor.execute(_EVENTS, {"since": since, "horizon": before, "due": due})
        return [
            Counted(ae=row[0], outcome=row[1], events=row[2], due=row[3], stat_overdue=0 if row[1] else row[4])
            for row in cursor.fetchall()
        ]


def reconciled(counts: Sequence[Counted], spooled: Mapping[str, int]) -> list[Account]:
    """Make the accounts of what was counted and of what waits in the spool (images by AE).

    >>> done = Counted(ae="ER", outcome="evaluated", events=5, due=5, stat_overdue=0)
    >>> none = Counted(ae="ER", outcome=None, events=3, due=1, stat_overdue=0)
    >>> reconciled([done, none], {"ER": 2})
    [Account(ae='ER', acknowledged=10, evaluated=5, not_evaluated=0, waiting=4, missing=1)]
    """
    found = []
    for ae in sorted({one.ae for one in counts} | set(spooled)):
        mine = [one for one in counts if one.ae == ae]
        events = {outcome: sum(one.events for one in mine if one.outcome == outcome) for outcome in _OUTCOMES}
        missing = sum(one.due for one in mine if one.outcome is None)
        found.append(
            Account(
                ae=ae,
                acknowledged=sum(events.values()) + spooled.get(ae, 0),
                evaluated=events["evaluated"],
                not_evaluated=events["not_evaluated"],
                waiting=events[None] - missing + spooled.get(ae, 0),
                missing=missing,
            )
        )
    return found


def _is_since(note: Note, since: datetime | None) -> bool:
    return since is None or note.received_at >= since
