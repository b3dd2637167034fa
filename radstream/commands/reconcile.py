"""`radstream reconcile`: whether every image that was acknowledged has its result."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Annotated

import typer

from radstream import spool
from radstream.commands.output import console, print_json, print_table
from radstream.commands.times import now, typed_moment
from radstream.lag import GroupLag, measure
from radstream.postgres import connect, translated
from radstream.settings import Settings
from radstream.spool_entry import Note

COLUMNS = ("ae", "acknowledged", "evaluated", "not_evaluated", "waiting", "missing")

#: Groups that stand between an acknowledged image and its row, by the beginning of their names.
INFERENCE = "inference."
SINK = "sink.postgres"

#: What is under way in no topic: a batch between its records and its commit.
IN_FLIGHT = timedelta(seconds=15)  # a transaction's timeout and the sink's own batch

#: A result of any role but a shadow's is the image's; revisions of one result are one row.
_EVENTS = """
    SELECT journal.calling_ae, found.outcome, count(*), count(*) FILTER (WHERE journal.published_at < %(horizon)s)
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

app = typer.Typer()


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What became of one calling AE's images. `acknowledged` = the sum of the four others."""

    ae: str
    acknowledged: int
    evaluated: int
    not_evaluated: int
    waiting: int
    missing: int


@app.command("reconcile")
def show(
    *,
    since: Annotated[str | None, typer.Option(help="Acknowledged since: 10m, 2h, 7d (ago) or RFC 3339.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Count each calling AE's images; exit 1 if anything is missing."""
    rows = [asdict(one) for one in accounts(Settings.from_environment(), typed_moment(since))]
    if as_json:
        for row in rows:
            print_json(row)
    else:
        print_table("", rows, COLUMNS)
    missing = sum(row["missing"] for row in rows)
    if missing and not as_json:
        console.print(f"{missing} acknowledged images have no result and wait nowhere.")
    if missing:
        raise typer.Exit(1)


def accounts(settings: Settings, since: datetime | None = None) -> list[Account]:
    """Ask the groups, the journal, the results and the spool, in this order; raise KafkaDown, PostgresDown.

    The groups come first: what they had passed by then must have its row when the rows are read.
    """
    asked = now()
    before = horizon(measure(settings), asked)
    counts: list[tuple[str, str | None, int, int]] = []
    with translated():
        connection = connect(settings, "radstream-reconcile")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(_EVENTS, {"since": since, "horizon": before})
                counts = cursor.fetchall()
        finally:
            connection.close()
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


def reconciled(counts: Sequence[tuple[str, str | None, int, int]], spooled: Mapping[str, int]) -> list[Account]:
    """Make the accounts of (AE, outcome or None, events, of these due) and of what waits in the spool.

    >>> reconciled([("ER", "evaluated", 5, 5), ("ER", None, 3, 1)], {"ER": 2})
    [Account(ae='ER', acknowledged=10, evaluated=5, not_evaluated=0, waiting=4, missing=1)]
    """
    found = []
    for ae in sorted({row[0] for row in counts} | set(spooled)):
        mine = [row for row in counts if row[0] == ae]
        events = {outcome: sum(row[2] for row in mine if row[1] == outcome) for outcome in _OUTCOMES}
        missing = sum(row[3] for row in mine if row[1] is None)
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


_OUTCOMES: tuple[str | None, ...] = ("evaluated", "not_evaluated", None)


def _is_since(note: Note, since: datetime | None) -> bool:
    return since is None or note.received_at >= since
