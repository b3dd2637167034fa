"""`radstream dlq`: what could not be handled; send it again, or let a stopped group go on."""

import base64
from typing import Annotated, Any
from uuid import UUID

import typer

from radstream import deadletters
from radstream.commands.output import console, print_json, print_table
from radstream.commands.times import rfc3339
from radstream.settings import Settings
from schemas.errors import RadStreamError
from schemas.message_dead_lettered import MessageDeadLettered

FIELDS = ("id", "source_topic", "partition", "offset", "cause", "attempts", "first_seen")

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Cause = Annotated[str | None, typer.Option(help="Only those with this cause code.")]

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_letters(*, cause: Cause = None, as_json: AsJson = False) -> None:
    """List the dead letters, oldest first."""
    _print([row_of(one) for one in deadletters.letters(Settings.from_environment(), cause=cause)], as_json=as_json)


@app.command()
def show(letter_id: Annotated[UUID, typer.Argument(metavar="ID")], *, as_json: AsJson = False) -> None:
    """Show one dead letter with its original bytes."""
    one = deadletters.letter(Settings.from_environment(), letter_id)
    row = row_of(one) | {
        "group": one.group,
        "event_id": None if one.event_id is None else str(one.event_id),
        "encrypted": one.encrypted,
        "original_base64": base64.b64encode(one.original).decode(),
    }
    if as_json:
        print_json(row)
        return
    for name, value in row.items():
        console.print(f"{name:<16} {value}", highlight=False)


@app.command()
def replay(
    ids: Annotated[list[UUID] | None, typer.Argument(metavar="[ID]...")] = None,
    *,
    cause: Annotated[str | None, typer.Option(help="All with this cause code.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send originals again, to the group alone that gave them up."""
    if bool(ids) == (cause is not None):
        raise typer.BadParameter("name the dead letters, or give --cause: one of the two")
    sent = deadletters.replay(Settings.from_environment(), ids or (), cause=cause)
    _print([row_of(one) for one in sent], as_json=as_json)
    if not sent:
        raise RadStreamError(f"no dead letter has the cause {cause!r}; `radstream dlq list` shows what there is")


@app.command()
def resume(group: str, *, as_json: AsJson = False) -> None:
    """Close a group's breaker, so that it goes on."""
    was_open = deadletters.resume(Settings.from_environment(), group)
    if as_json:
        print_json({"group": group, "resumed": was_open})
    else:
        console.print(f"{group} goes on." if was_open else f"{group} was not stopped by its breaker.")


def row_of(one: MessageDeadLettered) -> dict[str, Any]:
    """Give a dead letter the fields of INTERFACE.md."""
    row = {name: getattr(one, name) for name in FIELDS}
    return row | {"id": str(one.id), "first_seen": rfc3339(one.first_seen)}


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            print_json(row)
    else:
        print_table("", rows, FIELDS)
