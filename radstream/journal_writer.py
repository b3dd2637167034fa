"""What the listener writes into the journal: how far each of its events came."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg2.extras

from radstream.journal import PUBLISHED_STATES, Connect, identity_of
from radstream.postgres import Transactions
from radstream.vault import Vault
from schemas.errors import BadMessage
from schemas.identity import Pseudonyms, event_id
from schemas.words import Lane

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What the listener knows of an image before the journal has seen it."""

    identifiers: Mapping[str, str]  # sealed at once; sop_instance_uid and study_instance_uid are always there
    calling_ae: str
    site: str
    lane: Lane
    sha256: str
    object_key: str
    size_bytes: int
    received_at: datetime
    doubted: bool = False  # what servers answered before may be gone: the log decides


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """An event's row as it stands: what the first receipt fixed, and how far it came."""

    event_id: UUID
    instance_pseudonym: str
    study_pseudonym: str
    patient_pseudonym: str | None
    key_id: str
    revision: int
    supersedes: UUID | None
    identity_changed: bool
    calling_ae: str
    site: str
    lane: Lane
    received_at: datetime
    state: str

    @property
    def is_published(self) -> bool:
        """Whether the event is in the log for certain."""
        return self.state in PUBLISHED_STATES


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an event is about to be written: no record of it stands before `end_offset`."""

    topic: str
    partition: int
    end_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A publishing that nobody saw the end of."""

    event_id: UUID
    slot: str
    place: Place
    age_seconds: float


_ROW = (
    "event_id, instance_pseudonym, study_pseudonym, patient_pseudonym, key_id, revision, supersedes, "
    "identity_changed, calling_ae, site, lane, received_at, state"
)


class Journal:
    """The listener's side. Thread-safe: one connection a thread."""

    def __init__(self, connect: Connect, vault: Vault, pseudonyms: Sequence[Pseudonyms], slot: str) -> None:
        self._transactions = Transactions(connect)
        self._vault = vault
        self._pseudonyms = pseudonyms
        self._slot = slot

    def register(self, arrival: Arrival) -> Registered:
        """Give the image's row, made now if its event is new. One transaction, one at a time for a study.

        A study keeps its first key. An event keeps its first lane; the images that come after a STAT one of their
        study are STAT. Raises PostgresDown.
        """
        study_uid = arrival.identifiers["study_instance_uid"]
        with self._transactions.begin() as cursor:
            for locked in sorted({study_uid, arrival.identifiers["sop_instance_uid"]}):
                name = self._pseudonyms[0].uid(locked)
                cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))
            keys = self._keys_of_study(cursor, study_uid)
            instance = keys.uid(arrival.identifiers["sop_instance_uid"])
            event = event_id(instance, arrival.sha256)
            cursor.execute(f"SELECT {_ROW} FROM journal WHERE event_id = %s", (event,))  # noqa: S608 - our own words
            found = cursor.fetchone()
            if found is None:
                return self._insert(cursor, arrival, keys, event)
            registered = _registered(found)
            if arrival.doubted and registered.is_published:
                cursor.execute("UPDATE journal SET state = 'publishing' WHERE event_id = %s", (event,))
                cursor.execute(f"SELECT {_ROW} FROM journal WHERE event_id = %s", (event,))  # noqa: S608
                return _registered(cursor.fetchone())
            return registered

    def stored(self, event: UUID) -> None:
        """Note that the object is in the store. A hint for people: not worth a sync of the disk."""
        with self._transactions.begin() as cursor:
            cursor.execute("SET LOCAL synchronous_commit TO off")
            cursor.execute(
                "UPDATE journal SET stored_at = now(), purged_at = NULL, state = CASE "
                "WHEN state IN ('received', 'stored') THEN 'stored' WHEN state = 'purged' THEN 'published' "
                "ELSE state END WHERE event_id = %s",
                (event,),
            )

    def lock(self, events: Sequence[UUID]) -> set[UUID]:
        """Take the advisory lock of each event that nobody else holds; they are held until `unlock`."""
        with self._transactions.begin() as cursor:
            cursor.execute(
                "SELECT one, pg_try_advisory_lock(hashtextextended(one::text, 1)) FROM unnest(%s) AS one",
                (list(events),),
            )
            return {one for one, got in cursor.fetchall() if got}

    def unlock(self) -> None:
        """Give back every advisory lock of this thread."""
        with self._transactions.begin() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_all()")

    def progress(self, events: Sequence[UUID]) -> tuple[set[UUID], list[Doubt]]:
        """Say which events are in the log for certain and which are in doubt."""
        with self._transactions.begin() as cursor:
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
        """Note where each event is about to be written, durably, before anything is sent."""
        with self._transactions.begin() as cursor:
            psycopg2.extras.execute_values(
                cursor,
                "UPDATE journal SET state = 'publishing', publishing_at = now(), slot = new.slot, topic = new.topic, "
                "kafka_partition = new.kafka_partition, end_offset = new.end_offset "
                "FROM (VALUES %s) AS new (event_id, slot, topic, kafka_partition, end_offset) "
                "WHERE journal.event_id = new.event_id",
                [
                    (event, self._slot, place.topic, place.partition, place.end_offset)
                    for event, place in places.items()
                ],
                template="(%s::uuid, %s, %s, %s, %s::bigint)",
            )

    def acknowledged(self, events: Mapping[UUID, datetime]) -> None:
        """Note that each event is in the log, and when its image was, or at the latest is now, answered Success."""
        with self._transactions.begin() as cursor:
            psycopg2.extras.execute_values(
                cursor,
                "UPDATE journal SET state = 'acknowledged', published_at = coalesce(published_at, now()), "
                "acknowledged_at = coalesce(acknowledged_at, new.at) "
                "FROM (VALUES %s) AS new (event_id, at) WHERE journal.event_id = new.event_id",
                list(events.items()),
                template="(%s::uuid, %s::timestamptz)",
            )

    def _keys_of_study(self, cursor: "cursor", study_uid: str) -> Pseudonyms:
        by_name = {keys.uid(study_uid): keys for keys in self._pseudonyms}
        if len(by_name) == 1:
            return self._pseudonyms[0]
        cursor.execute(
            "SELECT study_pseudonym FROM journal WHERE study_pseudonym = ANY(%s) ORDER BY received_at LIMIT 1",
            (list(by_name),),
        )
        found = cursor.fetchone()
        return by_name[found[0]] if found else self._pseudonyms[0]

    def _insert(self, cursor: "cursor", arrival: Arrival, keys: Pseudonyms, event: UUID) -> Registered:
        seen = arrival.identifiers
        instance, study = keys.uid(seen["sop_instance_uid"]), keys.uid(seen["study_instance_uid"])
        patient_id = seen.get("patient_id")
        cursor.execute(
            "SELECT event_id, revision, identifiers FROM journal WHERE instance_pseudonym = %s "
            "ORDER BY revision DESC LIMIT 1",
            (instance,),
        )
        before = cursor.fetchone()
        cursor.execute("SELECT 1 FROM journal WHERE study_pseudonym = %s AND lane = 'stat' LIMIT 1", (study,))
        lane = Lane.STAT if cursor.fetchone() else arrival.lane
        registered = Registered(
            event_id=event,
            instance_pseudonym=instance,
            study_pseudonym=study,
            patient_pseudonym=keys.patient(seen.get("issuer_of_patient_id") or arrival.site, patient_id)
            if patient_id
            else None,
            key_id=keys.key_id,
            revision=before[1] + 1 if before else 1,
            supersedes=before[0] if before else None,
            identity_changed=before is not None and self._other_patient(before, seen),
            calling_ae=arrival.calling_ae,
            site=arrival.site,
            lane=lane,
            received_at=arrival.received_at,
            state="received",
        )
        sealed = self._vault.seal(seen, aad=str(event))
        values = [*(getattr(registered, name.strip()) for name in _ROW.split(",")), arrival.object_key]
        cursor.execute(
            f"INSERT INTO journal ({_ROW}, object_key, size_bytes, identifiers, slot) "  # noqa: S608
            f"VALUES ({', '.join(['%s'] * 17)})",
            [*values, arrival.size_bytes, psycopg2.Binary(sealed), self._slot],
        )
        return registered

    def _other_patient(self, before: tuple[Any, ...], now: Mapping[str, str]) -> bool:
        try:
            then = self._vault.open(before[2], aad=str(before[0]))
        except BadMessage:
            return True  # nobody can say that it is the same patient: a person must look
        return identity_of(then) != identity_of(now)


def _registered(row: Any) -> Registered:
    values = dict(zip((name.strip() for name in _ROW.split(",")), row, strict=True))
    return Registered(**{**values, "lane": Lane(values["lane"])})
