"""Images into the journal, many in one transaction: identity, revision, lane and key of each are settled here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg2

from radstream.journal.journal import PUBLISHED_STATES, identity_of
from radstream.journal.vault import Vault
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

    @property
    def instance_uid(self) -> str:
        """The SOP Instance UID."""
        return self.identifiers["sop_instance_uid"]

    @property
    def study_uid(self) -> str:
        """The Study Instance UID."""
        return self.identifiers["study_instance_uid"]


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


@dataclass(frozen=True, slots=True)
class _Before:
    """The newest revision of an instance."""

    event_id: UUID
    revision: int
    patient: tuple[str | None, ...] | None  # None: nobody can say who it was


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an event is about to be written: no record of it stands before `end_offset`."""

    topic: str
    partition: int
    end_offset: int


_COLUMNS = tuple(Registered.__slots__)
_ROW = ", ".join(_COLUMNS)

#: The rows of instances, and one row of each study that is STAT.
_KNOWN = (
    f"SELECT {_ROW}, identifiers FROM journal WHERE instance_pseudonym = ANY(%s) "  # noqa: S608 - our own words
    f"UNION ALL (SELECT DISTINCT ON (study_pseudonym) {_ROW}, identifiers FROM journal "
    "WHERE study_pseudonym = ANY(%s) AND lane = 'stat') ORDER BY revision"
)
_MORE = "object_key, size_bytes, identifiers, slot, topic, kafka_partition, end_offset"
_INTO = f"INSERT INTO journal ({_ROW}, {_MORE}, publishing_at) VALUES "  # noqa: S608 - our own words
_INSERT = _INTO.encode() + b"%s; "
_VALUES = f"({', '.join(['%s'] * (len(_COLUMNS) + 7))}, now())"
#: After the commit: nobody else has reason to want these events, and who does all the same is told by this.
_LOCK = "SELECT one FROM unnest(%s) AS one WHERE pg_try_advisory_lock(hashtextextended(one::text, 1))"


class Registration:
    """Registers arrivals, a batch in a transaction: two round trips where nothing is doubted and no key was rotated."""

    def __init__(self, vault: Vault, pseudonyms: Sequence[Pseudonyms], slot: str) -> None:
        self._vault = vault
        self._pseudonyms = pseudonyms
        self._slot = slot

    def register(
        self,
        cursor: "cursor",
        arrivals: Sequence[Arrival],
        place_of: Callable[[Lane, str], Place],
        noting: bytes = b"",
    ) -> tuple[list[Registered], frozenset[UUID]]:
        """Give each image's row, in order, and the events that are new and whose lock is ours: ours alone to publish.

        `cursor` is in no transaction; `place_of` says by lane and study pseudonym where an event will stand; `noting`
        are statements that share the transaction.

        1. begin; lock the studies and instances, in one order for all listeners
        2. read what the journal knows of them
        3. decide each in its turn, as if they had come one by one
        4. insert the new rows, as about to be published; commit; lock their events

        A study keeps its first key. An event keeps its first lane; the images that come after a STAT one of their
        study are STAT.
        """
        begin = self._locking(cursor, arrivals)
        if len(self._pseudonyms) == 1:
            keys = dict.fromkeys({arrival.study_uid for arrival in arrivals}, self._pseudonyms[0])
        else:
            cursor.execute(begin)
            keys, begin = self._keys_of_studies(cursor, {arrival.study_uid for arrival in arrivals}), b""
        names = [self._event_of(arrival, keys[arrival.study_uid]) for arrival in arrivals]
        rows, before, stat = self._known(
            cursor,
            begin,
            [keys[arrival.study_uid].uid(arrival.instance_uid) for arrival in arrivals],
            [keys[arrival.study_uid].uid(arrival.study_uid) for arrival in arrivals],
        )
        self._doubt(cursor, {name for name, arrival in zip(names, arrivals, strict=True) if arrival.doubted}, rows)
        new: list[tuple[Registered, Arrival]] = []
        for name, arrival in zip(names, arrivals, strict=True):
            if name in rows:
                continue
            row = self._new_row(name, arrival, keys[arrival.study_uid], before, stat)
            rows[name] = row
            before[row.instance_pseudonym] = _Before(name, row.revision, identity_of(arrival.identifiers))
            if row.lane is Lane.STAT:
                stat.add(row.study_pseudonym)
            new.append((row, arrival))
        taken = self._insert(cursor, new, place_of, noting)
        return [rows[name] for name in names], taken

    def _locking(self, cursor: "cursor", arrivals: Sequence[Arrival]) -> bytes:
        uids = {uid for arrival in arrivals for uid in (arrival.study_uid, arrival.instance_uid)}
        return cursor.mogrify(
            "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended(name, 0)) FROM unnest(%s) AS name; ",
            (sorted(self._pseudonyms[0].uid(uid) for uid in uids),),
        )

    def _keys_of_studies(self, cursor: "cursor", uids: set[str]) -> dict[str, Pseudonyms]:
        newest = self._pseudonyms[0]
        by_name = {keys.uid(uid): (uid, keys) for uid in uids for keys in self._pseudonyms}
        cursor.execute(
            "SELECT study_pseudonym FROM journal WHERE study_pseudonym = ANY(%s) "
            "GROUP BY study_pseudonym ORDER BY min(received_at) DESC",
            (list(by_name),),
        )
        return dict.fromkeys(uids, newest) | dict(by_name[name] for (name,) in cursor.fetchall())

    @staticmethod
    def _event_of(arrival: Arrival, keys: Pseudonyms) -> UUID:
        return event_id(keys.uid(arrival.instance_uid), arrival.sha256)

    @staticmethod
    def _doubt(cursor: "cursor", names: set[UUID], rows: dict[UUID, Registered]) -> None:
        """Let the log decide again about events whose image is doubted."""
        doubted = [name for name in names if name in rows and rows[name].is_published]
        if doubted:
            cursor.execute("UPDATE journal SET state = 'publishing' WHERE event_id = ANY(%s)", (doubted,))
            rows.update({name: replace(rows[name], state="publishing") for name in doubted})

    def _known(
        self, cursor: "cursor", begin: bytes, instances: Sequence[str], studies: Sequence[str]
    ) -> tuple[dict[UUID, Registered], dict[str, _Before], set[str]]:
        """Read every revision of the instances: the rows by event, the newest by instance; and which studies are STAT.

        `begin` goes before, in the same round trip; each statement sees what was committed when its turn came.
        """
        reading = cursor.mogrify(_KNOWN, (list(instances), list(studies)))
        cursor.execute(begin + reading)
        found = [(_registered(values), sealed) for *values, sealed in cursor.fetchall()]
        stat = {row.study_pseudonym for row, _ in found if row.lane is Lane.STAT}
        ours = set(instances)
        newest = {row.instance_pseudonym: (row, sealed) for row, sealed in found if row.instance_pseudonym in ours}
        return (
            {row.event_id: row for row, _ in found},
            {
                name: _Before(row.event_id, row.revision, self._patient(row.event_id, sealed))
                for name, (row, sealed) in newest.items()
            },
            stat,
        )

    def _patient(self, event: UUID, sealed: bytes) -> tuple[str | None, ...] | None:
        try:
            return identity_of(self._vault.open(sealed, aad=str(event)))
        except BadMessage:
            return None

    @staticmethod
    def _new_row(
        event: UUID, arrival: Arrival, keys: Pseudonyms, before: Mapping[str, _Before], stat: set[str]
    ) -> Registered:
        instance, study = keys.uid(arrival.instance_uid), keys.uid(arrival.study_uid)
        patient_id = arrival.identifiers.get("patient_id")
        issuer = arrival.identifiers.get("issuer_of_patient_id") or arrival.site
        last = before.get(instance)
        return Registered(
            event_id=event,
            instance_pseudonym=instance,
            study_pseudonym=study,
            patient_pseudonym=keys.patient(issuer, patient_id) if patient_id else None,
            key_id=keys.key_id,
            revision=last.revision + 1 if last else 1,
            supersedes=last.event_id if last else None,
            # Where nobody can say that it is the same patient, a person must look.
            identity_changed=last is not None and last.patient != identity_of(arrival.identifiers),
            calling_ae=arrival.calling_ae,
            site=arrival.site,
            lane=Lane.STAT if study in stat else arrival.lane,
            received_at=arrival.received_at,
            state="publishing",
        )

    def _insert(
        self,
        cursor: "cursor",
        new: Sequence[tuple[Registered, Arrival]],
        place_of: Callable[[Lane, str], Place],
        noting: bytes,
    ) -> frozenset[UUID]:
        if not new:
            cursor.execute(noting + b"COMMIT")
            return frozenset()
        values = [self._values(row, arrival, place_of(row.lane, row.study_pseudonym)) for row, arrival in new]
        inserting = _INSERT % b", ".join(cursor.mogrify(_VALUES, one) for one in values)
        locking = cursor.mogrify(_LOCK, ([row.event_id for row, _ in new],))
        cursor.execute(noting + inserting + b"COMMIT; " + locking)
        return frozenset(event for (event,) in cursor.fetchall())

    def _values(self, row: Registered, arrival: Arrival, place: Place) -> tuple[object, ...]:
        return (
            *(getattr(row, name) for name in _COLUMNS),
            arrival.object_key,
            arrival.size_bytes,
            psycopg2.Binary(self._vault.seal(arrival.identifiers, aad=str(row.event_id))),
            self._slot,
            place.topic,
            place.partition,
            place.end_offset,
        )


def _registered(row: Sequence[Any]) -> Registered:
    values = dict(zip(_COLUMNS, row, strict=True))
    return Registered(**{**values, "lane": Lane(values["lane"])})
