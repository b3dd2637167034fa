"""The `radstream` command: a table of subcommands, each a module that is imported when it is called."""

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import stamina
import typer
from typer.core import TyperGroup
from typer.main import get_command

from schemas.errors import RadStreamError

EXIT_FAILED = 1

#: Subcommand: the module of `radstream.commands` that holds its Typer `app`, and its line in the help.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "up": ("up", "Start the whole system on this machine, or the components named."),
    "down": ("down", "Stop what `up` started."),
    "status": ("status", "Say of each component whether it runs and is ready."),
    "send": ("send", "Send DICOM, PNG or JPEG files by C-STORE."),
    "results": ("results", "Show results as they arrive."),
    "lag": ("lag", "Show how far each group is behind."),
    "drift": ("drift", "Show the windows' statistics."),
    "dlq": ("dlq", "List, show and replay dead letters; resume a group."),
    "replay": ("replay", "Run a past stretch of the log on another version, and compare."),
    "model": ("model", "List, deploy, shadow, canary, roll back and recall model versions."),
    "reconcile": ("reconcile", "Compare what was acknowledged with what has a result."),
    "demo": ("demo", "Start, send radiographs, show the results, stop."),
}


class LazyGroup(TyperGroup):
    """A group whose commands are imported when one is called, so that `radstream status` needs no imaging package.

    Typed loosely where click's classes appear: Typer brings its own copy of them since 0.26.
    """

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the base class's signature
        """Name the subcommands in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - as above
        """Import the subcommand's module; say which package is missing if one is."""
        if cmd_name not in COMMANDS:
            return None
        module = COMMANDS[cmd_name][0]
        try:
            found = importlib.import_module(f"radstream.commands.{module}")
        except ModuleNotFoundError as error:
            raise RadStreamError(
                f"`radstream {cmd_name}` needs the package {error.name}, which is not installed: run `make setup`"
            ) from error
        command = get_command(found.app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - as above
        """List the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.callback()
def radstream() -> None:
    """Event-driven radiology AI: DICOM in, durable events, inference and drift on one log."""


def main() -> None:
    """Run the command; a foreseen failure is one line on standard error and exit status 1."""
    stamina.instrumentation.set_on_retry_hooks([])  # standard output is the command's alone
    try:
        get_command(app)(prog_name="radstream")
    except RadStreamError as error:
        print(f"radstream: {error}", file=sys.stderr)  # noqa: T201 - the one line for a person
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(130)  # 128 + SIGINT, as a shell says it


if __name__ == "__main__":
    main()
