"""Connections to PostgreSQL, with its errors in our words."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg2
import psycopg2.extras

from radstream.settings import Settings
from schemas.errors import PostgresDown

if TYPE_CHECKING:
    from psycopg2.extensions import connection, cursor

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


class Transactions:
    """Transactions on one connection a thread, opened when first needed and again after an error. Thread-safe."""

    def __init__(self, connect: "Callable[[], connection]") -> None:
        self._connect = connect
        self._own = threading.local()

    @contextmanager
    def begin(self) -> Iterator["cursor"]:
        """Run one transaction; after an error the connection is thrown away. Raises PostgresDown."""
        with self.statements() as cursor, cursor.connection:
            yield cursor

    @contextmanager
    def statements(self) -> Iterator["cursor"]:
        """Run statements that are a transaction each: a third of the round trips. Errors as above."""
        with translated():
            if getattr(self._own, "connection", None) is None:
                self._own.connection = self._connect()
                self._own.connection.autocommit = True
                psycopg2.extras.register_uuid(conn_or_curs=self._own.connection)  # type: ignore[no-untyped-call]
            try:
                with self._own.connection.cursor() as cursor:
                    yield cursor
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close this thread's connection; the next transaction opens another."""
        connection, self._own.connection = getattr(self._own, "connection", None), None
        if connection is not None:
            connection.close()
