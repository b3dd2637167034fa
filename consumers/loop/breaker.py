"""When too many messages die in a row the group stops: a bad deployment must not reroute everything (promise 3).

An open breaker is kept in PostgreSQL: a restart does not close it, `radstream dlq resume GROUP` does.
"""

from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Protocol

from radstream.postgres import connect, translated
from radstream.settings import Settings
from schemas.errors import Unavailable


class BreakerStore(Protocol):
    """Where a group's breaker is remembered."""

    def is_open(self, group: str) -> bool:
        """Say whether the group must not go on; raise PostgresDown."""

    def open(self, group: str, cause: str) -> None:
        """Remember that it opened, and on which cause; raise PostgresDown."""


class PostgresBreakers:
    """The table `breakers`: asked at the start and while open, so a running group doesn't lean on it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def is_open(self, group: str) -> bool:
        """Say whether the group must not go on."""
        with translated(), closing(connect(self._settings)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM breakers WHERE consumer_group = %s AND closed_at IS NULL", (group,))
            return cursor.fetchone() is not None

    def open(self, group: str, cause: str) -> None:
        """Remember that it opened; one that is open keeps its first cause."""
        with translated(), closing(connect(self._settings)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO breakers (consumer_group, cause) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (group, cause),
            )


class MemoryBreakers:
    """Breakers in this process: for tests."""

    def __init__(self) -> None:
        self.causes: dict[str, str] = {}

    def is_open(self, group: str) -> bool:
        """Say whether the group must not go on."""
        return group in self.causes

    def open(self, group: str, cause: str) -> None:
        """Remember that it opened."""
        self.causes.setdefault(group, cause)


class Breaker:
    """One group's breaker: counts the dead in a row, opens, and finds out when a person closed it."""

    def __init__(self, group: str, store: BreakerStore, limit: int) -> None:
        self._group = group
        self._store = store
        self._limit = limit
        self._row = 0
        self._unstored: str | None = None
        self.is_open = False

    def recall(self) -> None:
        """Ask whether it is open; raise Unavailable where that can't be told. What was not stored yet is stored."""
        if self._unstored is not None:
            self._store.open(self._group, self._unstored)
            self._unstored = None
        was_open, self.is_open = self.is_open, self._store.is_open(self._group)
        if was_open and not self.is_open:
            self._row = 0

    def would_open(self, deaths: Sequence[bool]) -> bool:
        """Say whether making this batch final would be one death in a row too many."""
        return in_a_row(self._row, deaths)[1] >= self._limit

    def count(self, deaths: Sequence[bool]) -> None:
        """Count a batch that became final."""
        self._row, _ = in_a_row(self._row, deaths)

    def open(self, cause: str) -> None:
        """Open, and remember it beyond this process, now or at the next `recall`."""
        self.is_open = True
        self._unstored = cause
        with suppress(Unavailable):
            self.recall()


def in_a_row(before: int, deaths: Sequence[bool]) -> tuple[int, int]:
    """Count the dead in a row over a batch: the row's length at its end, and at its longest.

    >>> in_a_row(3, [True, False, True, True])
    (2, 4)
    >>> in_a_row(3, [False, False])
    (0, 3)
    """
    longest = now = before
    for died in deaths:
        now = now + 1 if died else 0
        longest = max(longest, now)
    return now, longest
