"""What the listener writes into the journal: how far each of its events came."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING
from uuid import UUID

from radstream.journal.journal import PUBLISHED_STATES, Connect
from radstream.journal.registration import Arrival, Place, Registered, Registration
from radstream.journal.vault import Vault
from radstream.postgres import Transactions
from schemas.identity import Pseudonyms
from schemas.words import Lane

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A publishing that nobody saw the end of."""

    event_id: UUID
    slot: str
    place: Place
    age_seconds: float


class Journal:
    """The listener's side. Thread-safe: one connection a thread."""

    def __init__(self, connect: Connect, vault: Vault, pseudonyms: Sequence[Pseudonyms], slot: str) -> None:
        self._transactions = Transactions(connect)
        self._registration = Registration(vault, pseudonyms, slot)
        self.slot = slot

    def register(
        self,
        arrivals: Sequence[Arrival],
        place_of: Callable[[Lane, str], Place],
        noted: Mapping[UUID, datetime] = MappingProxyType({}),
    ) -> tuple[list[Registered], frozenset[UUID]]:
        """Give each image's row, made now where its event is new, and the events that are ours alone to publish.

        One transaction for all; it also notes a batch that is in the log, as `acknowledged` does. Raises PostgresDown.
        """
        with self._transactions.statements() as cursor:
            return self._registration.register(cursor, arrivals, place_of, _acknowledging(cursor, noted))

    def stored_again(self, event: UUID) -> None:
        """Note that a purged event's object is in the store again."""
        with self._transactions.statements() as cursor:
            cursor.execute(
                "UPDATE journal SET stored_at = now(), purged_at = NULL, state = 'published' "
                "WHERE event_id = %s AND state = 'purged'",
                (event,),
            )

    def take(self, places: Mapping[UUID, Place], noted: Mapping[UUID, datetime]) -> frozenset[UUID]:
        """Note a batch that is in the log (as `acknowledged`) and take the next, in one round trip and one commit.

        Takes the advisory lock of each event that nobody had in hand before, and notes where it is about to be
        written; gives those. An event that another listener takes in the same moment is seen: an UPDATE that waited
        for a row, or finds it changed, judges its newest state.
        """
        with self._transactions.statements() as cursor:
            rows = b", ".join(cursor.mogrify(_PLACE, row) for row in self._rows(places))
            cursor.execute(_acknowledging(cursor, noted) + _TAKE % rows)
            return frozenset(event for (event,) in cursor.fetchall())

    def claim(self, events: Sequence[UUID]) -> tuple[set[UUID], set[UUID], list[Doubt]]:
        """Take the advisory lock of each event that nobody else holds, until `unlock`.

        Gives those that are ours now; of these, those that are in the log for certain, and those in doubt. The locks
        are taken before the rows are read, so what a former holder noted is seen.
        """
        with self._transactions.statements() as cursor:
            cursor.execute(
                "SELECT one, pg_try_advisory_lock(hashtextextended(one::text, 1)) FROM unnest(%s) AS one",
                (list(events),),
            )
            locked = {one for one, got in cursor.fetchall() if got}
            return locked, *self._progress(cursor, list(locked))

    def unlock(self) -> None:
        """Give back every advisory lock of this thread."""
        with self._transactions.statements() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_all()")

    @staticmethod
    def _progress(cursor: "cursor", events: Sequence[UUID]) -> tuple[set[UUID], list[Doubt]]:
        cursor.execute(
            "SELECT event_id, state, slot, topic, kafka_partition, end_offset, "
            "extract(epoch FROM now() - publishing_at) FROM journal WHERE event_id = ANY(%s)",
            (list(events),),
        )
        rows = cursor.fetchall()
        certain = {row[0] for row in rows if row[1] in PUBLISHED_STATES}
        doubts = [
            Doubt(
                event_id=row[0],
                slot=row[2],
                place=Place(topic=row[3], partition=row[4], end_offset=row[5]),
                age_seconds=float(row[6]),
            )
            for row in rows
            if row[1] == "publishing" and row[3] is not None
        ]
        return certain, doubts

    def publishing(self, places: Mapping[UUID, Place]) -> None:
        """Note that each event's object is stored and where it is about to be written, durably, before it is sent."""
        with self._transactions.statements() as cursor:
            rows = b", ".join(cursor.mogrify(_PLACE, row) for row in self._rows(places))
            cursor.execute(_PUBLISHING % rows + b" WHERE journal.event_id = new.event_id")

    def acknowledged(self, events: Mapping[UUID, datetime]) -> None:
        """Note that each event is in the log, and when Success was decided for its image; give every lock back.

        The answer does not wait for the note: who is killed before it finds the image in the spool, and the event in
        the log.
        """
        with self._transactions.statements() as cursor:
            cursor.execute(_acknowledging(cursor, events))

    def _rows(self, places: Mapping[UUID, Place]) -> list[tuple[UUID, str, str, int, int]]:
        return [(event, self.slot, place.topic, place.partition, place.end_offset) for event, place in places.items()]


_PLACE = "(%s::uuid, %s, %s, %s, %s::bigint)"

_PUBLISHING = (
    b"UPDATE journal SET state = 'publishing', stored_at = coalesce(stored_at, now()), publishing_at = now(), "
    b"slot = new.slot, topic = new.topic, kafka_partition = new.kafka_partition, end_offset = new.end_offset "
    b"FROM (VALUES %s) AS new (event_id, slot, topic, kafka_partition, end_offset)"
)

_TAKE = (
    _PUBLISHING + b" WHERE journal.event_id = new.event_id AND journal.state IN ('received', 'stored') "
    b"AND pg_try_advisory_lock(hashtextextended(new.event_id::text, 1)) RETURNING journal.event_id"
)


def _acknowledging(cursor: "cursor", events: Mapping[UUID, datetime]) -> bytes:
    """Write the statements that note events as acknowledged and give this connection's locks back."""
    noting = b""
    if events:
        noting = (
            b"UPDATE journal SET state = 'acknowledged', published_at = coalesce(published_at, now()), "
            b"stored_at = coalesce(stored_at, now()), "
            b"acknowledged_at = coalesce(acknowledged_at, new.at) FROM (VALUES %s) AS new (event_id, at) "
            b"WHERE journal.event_id = new.event_id; "
        ) % b", ".join(cursor.mogrify("(%s::uuid, %s::timestamptz)", row) for row in events.items())
    return noting + b"SELECT pg_advisory_unlock_all(); "
