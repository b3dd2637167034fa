"""`radstream results`: what the models said, with the identifiers of the vault."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from radstream import results as reading
from radstream.commands.output import console, print_json, print_table, remarks, shortened
from radstream.commands.times import now, typed_moment
from radstream.results import Result
from radstream.settings import Settings

if TYPE_CHECKING:
    from uuid import UUID

POLL_SECONDS = 0.25

COLUMNS = ("completed", "sop_instance_uid", "outcome", "finding", "probability", "review", "reason", "lane", "ms")

app = typer.Typer()


@app.command("results")
def show(  # noqa: PLR0913 - the options of INTERFACE.md
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Go on showing results as they arrive.")] = False,
    study: Annotated[str | None, typer.Option(help="Study Instance UID, or its pseudonym.")] = None,
    since: Annotated[str | None, typer.Option(help="Completed since: 10m, 2h, 7d (ago) or RFC 3339.")] = None,
    wait: Annotated[int | None, typer.Option(min=1, help="Return when so many results are there.")] = None,
    timeout: Annotated[float, typer.Option(min=0, help="Give up waiting after so many seconds.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show the visible results, oldest first; exit 1 when `--wait` was not met in time."""
    settings = Settings.from_environment()
    begin = typed_moment(since)
    if follow and wait is None:
        stream = reading.follow(settings, study=study, since=begin or now(), wait=until(None))
    elif wait is not None:
        stream = reading.follow(settings, study=study, since=begin, wait=until(timeout))
    else:
        stream = iter(reading.results(settings, study=study, since=begin))
    found: dict[UUID, Result] = {}
    for one in counted(stream, wait):
        found[one.result_id] = one
        if as_json or follow:
            _print_line(one, as_json=as_json)
    if not as_json and not follow:
        _print_table(found.values())
    if wait is not None and len(found) < wait:
        remarks.print(f"radstream: {len(found)} of {wait} results after {timeout:g} s; see `radstream lag`")
        raise typer.Exit(1)


def until(timeout: float | None) -> Callable[[], bool]:
    """Give a function that pauses between two looks, and says when the time (seconds) is over."""
    deadline = None if timeout is None else time.monotonic() + timeout

    def wait() -> bool:
        left = POLL_SECONDS if deadline is None else deadline - time.monotonic()
        time.sleep(max(0.0, min(POLL_SECONDS, left)))
        return left > 0

    return wait


def counted(stream: Iterable[Result], wait: int | None) -> Iterator[Result]:
    """Pass results on until so many different ones were seen; revisions of one count once."""
    seen: set[UUID] = set()
    for one in stream:
        yield one
        seen.add(one.result_id)
        if wait is not None and len(seen) >= wait:
            return


def table_row(one: Result) -> dict[str, Any]:
    """Say a result in a table's words."""
    probability = (one.probabilities or {}).get(one.finding or "")
    return {
        "completed": f"{one.completed_at:%H:%M:%S}",
        "sop_instance_uid": shortened(one.sop_instance_uid),
        "outcome": one.outcome,
        "finding": one.finding,
        "probability": None if probability is None else f"{probability:.3f}",
        "review": "needs clinical review" if one.needs_review else "",
        "reason": one.reason,
        "lane": one.lane,
        "ms": f"{one.latency_ms:.0f}",
    }


def _print_line(one: Result, *, as_json: bool) -> None:
    if as_json:
        print_json(one.as_json())
    else:
        row = table_row(one)
        console.print("  ".join(str(row[name]) for name in COLUMNS if row[name]), highlight=False)


def _print_table(found: Iterable[Result]) -> None:
    rows = list(found)
    print_table("", [table_row(one) for one in rows], COLUMNS)
    if any(one.pseudonymous for one in rows):
        console.print("Identifiers are pseudonyms where the vault's key or the journal's row is missing.")
    console.print("Not for diagnostic use. Identifiers in full: --json")
