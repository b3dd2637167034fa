"""How every command prints: JSON lines for programs, tables for people."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

#: Columns where there is no terminal to ask: wide enough that no table folds.
PIPED_WIDTH = 160

#: Progress and tables for people. `Console` turns colour off where there is no terminal.
console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_WIDTH)
#: What is said beside the output proper.
remarks = Console(stderr=True)


def print_json(row: Mapping[str, Any]) -> None:
    """Print one object on a line of its own, at once."""
    sys.stdout.write(json.dumps(row, default=str) + "\n")
    sys.stdout.flush()


def print_table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows as a table of these columns."""
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*("" if row[column] is None else str(row[column]) for column in columns))
    console.print(table)


def shortened(uid: str, length: int = 20) -> str:
    """Shorten an identifier for a table; `--json` has it in full.

    >>> shortened("2.25.293599552035401967432982000776471526621")
    '2.25.2935…71526621'
    """
    half = (length - 1) // 2
    return uid if len(uid) <= length else f"{uid[:half]}…{uid[1 - half :]}"
