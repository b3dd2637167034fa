"""Connections to PostgreSQL, with its errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg2

from radstream.settings import Settings
from schemas.errors import PostgresDown

if TYPE_CHECKING:
    from psycopg2.extensions import connection

_CONNECT_SECONDS = 3
_STATEMENT_MS = 30_000


def connect(settings: Settings, name: str = "radstream") -> "connection":
    """Open a connection; raise PostgresDown. `name` is what pg_stat_activity shows."""
    with translated():
        return psycopg2.connect(
            settings.postgres_url,
            connect_timeout=_CONNECT_SECONDS,
            application_name=name,
            options=f"-c statement_timeout={_STATEMENT_MS} -c timezone=UTC",
        )


@contextmanager
def translated() -> Iterator[None]:
    """Turn a lost server into PostgresDown; a wrong statement is a bug and stays what it is."""
    try:
        yield
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PostgresDown(f"PostgreSQL does not answer ({first}); see RADSTREAM_POSTGRES_URL") from error
