"""The journal (PostgreSQL): how far each event of the listener came, and the vault of its identifiers.

This is the reading side, for commands and result delivery; the listener writes by `radstream/journal/writer.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg2.extras

from radstream.journal.vault import Vault
from radstream.postgres import translated
from radstream.settings import Settings
from schemas.errors import BadMessage
from schemas.identity import Pseudonyms

if TYPE_CHECKING:
    from psycopg2.extensions import connection

Connect = Callable[[], "connection"]

#: States of an event that is in the log for certain; a purged one was, too.
PUBLISHED_STATES = frozenset({"published", "acknowledged", "purged"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """What the listener acknowledged to one calling AE."""

    calling_ae: str
    acknowledged: int  # events whose image was answered Success
    published: int  # of these, events that are in the log
    event_ids: tuple[UUID, ...] = ()


class JournalReader:
    """The reading side: what was acknowledged, and the way back from pseudonyms. Not thread-safe."""

    def __init__(self, connect: Connect, vault: Vault | None) -> None:
        self._connect = connect
        self._vault = vault

    def acknowledged_since(self, since: datetime | None = None) -> list[Acknowledged]:
        """Count what was acknowledged to each calling AE since a time (None: ever), with the events' ids.

        An image answered from the spool while the servers were away counts once it is forwarded: until then it is
        one of the spool's (`radstream.spool.spool.waiting`). Raises PostgresDown.
        """
        found = self._rows(
            "SELECT calling_ae, count(*), count(published_at), array_agg(event_id) FROM journal "
            "WHERE acknowledged_at IS NOT NULL AND (%s::timestamptz IS NULL OR acknowledged_at >= %s) "
            "GROUP BY calling_ae ORDER BY calling_ae",
            (since, since),
        )
        return [
            Acknowledged(calling_ae=row[0], acknowledged=row[1], published=row[2], event_ids=tuple(row[3]))
            for row in found
        ]

    def identifiers_of(self, instance_pseudonyms: Sequence[str]) -> dict[str, dict[str, str]]:
        """Open the identifiers of instances, by pseudonym, newest revision; absent: unknown, or no key, or a wrong one.

        Keys: sop_instance_uid, study_instance_uid, and where known series_instance_uid, patient_id,
        issuer_of_patient_id, patient_name, patient_birth_date, patient_sex, accession_number. Patient data: never
        into a log.
        """
        if self._vault is None or not instance_pseudonyms:
            return {}
        found = self._rows(
            "SELECT DISTINCT ON (instance_pseudonym) instance_pseudonym, event_id, identifiers FROM journal "
            "WHERE instance_pseudonym = ANY(%s) ORDER BY instance_pseudonym, revision DESC",
            (list(instance_pseudonyms),),
        )
        opened: dict[str, dict[str, str]] = {}
        for pseudonym, event, sealed in found:
            try:
                opened[pseudonym] = self._vault.open(sealed, aad=str(event))
            except BadMessage:
                continue
        return opened

    def study_pseudonym_of(self, study_uid: str, pseudonyms: Sequence[Pseudonyms]) -> str:
        """Give the pseudonym under which a study stands: of the key that it was first seen with, else the newest."""
        names = [keys.uid(study_uid) for keys in pseudonyms]
        found = self._rows("SELECT study_pseudonym FROM journal WHERE study_pseudonym = ANY(%s) LIMIT 1", (names,))
        return str(found[0][0]) if found else names[0]

    def _rows(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with translated():
            connection = self._connect()
            psycopg2.extras.register_uuid(conn_or_curs=connection)  # type: ignore[no-untyped-call]
            try:
                with connection, connection.cursor() as cursor:
                    cursor.execute(statement, values)
                    return list(cursor.fetchall())
            finally:
                connection.close()


def pseudonyms_of(settings: Settings) -> tuple[Pseudonyms, ...]:
    """Give the pseudonym keys, the one for new studies first; raise SettingMissing."""
    return (Pseudonyms(settings.require_pseudonym_key(), settings.pseudonym_key_id), *settings.former_pseudonym_keys)


def identity_of(identifiers: Mapping[str, str]) -> tuple[str | None, ...]:
    """Say who the patient is: issuer and Patient ID; without an ID, name and birth date.

    A corrected name is no other patient; a corrected Patient ID is one until a person says otherwise.

    >>> identity_of({"patient_id": "7", "patient_name": "A"}) == identity_of({"patient_id": "7", "patient_name": "B"})
    True
    """
    if identifiers.get("patient_id"):
        return (identifiers.get("issuer_of_patient_id"), identifiers["patient_id"])
    return (identifiers.get("patient_name"), identifiers.get("patient_birth_date"))
