"""The book of open requests for storage commitment (PostgreSQL): what was promised is there until it was kept."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg2

from dicom_listener.commitment.words import CommitmentRequest, Reference, RequestRefused
from radstream.journal.vault import Vault
from radstream.logs import get_log
from radstream.postgres import Transactions
from schemas.errors import BadMessage
from schemas.identity import Pseudonyms

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

#: Of one AE at one time (count).
LARGEST_OPEN = 10_000
#: Whoever tries a report has this long before another may (seconds); over the longest wait for an answer.
LEASE_SECONDS = 60.0
#: So long a request is kept for the association that it came on (seconds).
FIRST_LEASE_SECONDS = 8.0


class TransactionInUse(RequestRefused):
    """The transaction UID stands for other instances already."""

    cause = "commitment_in_use"


class TooManyOpen(RequestRefused):
    """The peer has asked for more than its reports were answered."""

    cause = "commitment_too_many"


@dataclass(frozen=True, slots=True)
class Open:
    """A request whose report was not answered yet."""

    request: CommitmentRequest
    attempts: int  # reports that failed
    age_seconds: float


class CommitmentBook:
    """Writes and reads the table `commitments`. Thread-safe; every method raises PostgresDown."""

    def __init__(self, transactions: Transactions, vault: Vault, pseudonyms: Pseudonyms) -> None:
        self._transactions = transactions
        self._vault = vault
        self._pseudonyms = pseudonyms

    def record(self, request: CommitmentRequest) -> None:
        """Make a request durable; nobody else tries its report within FIRST_LEASE_SECONDS.

        The same request again changes nothing but that. Raises TransactionInUse, TooManyOpen.
        """
        key = self._key(request)
        sealed = self._vault.seal_bytes(_written(request), aad=_aad(key))
        with self._transactions.begin() as cursor:
            cursor.execute("SELECT count(*) FROM commitments WHERE calling_ae = %s", (request.calling_ae,))
            (count,) = cursor.fetchone() or (0,)
            if count >= LARGEST_OPEN:
                raise TooManyOpen(f"{count} requests of {request.calling_ae} are open")
            cursor.execute(
                "INSERT INTO commitments (calling_ae, transaction_pseudonym, request, due_at) "
                "VALUES (%s, %s, %s, now() + %s * interval '1 second') "
                "ON CONFLICT (calling_ae, transaction_pseudonym) DO UPDATE SET due_at = excluded.due_at "
                "RETURNING request",
                (*key, psycopg2.Binary(sealed), FIRST_LEASE_SECONDS),
            )
            (stands,) = cursor.fetchone() or (b"",)
            if self._read(key, stands) != request:
                raise TransactionInUse("the transaction UID is in use for other instances")

    def take(self, calling_aes: Collection[str], limit: int) -> list[Open]:
        """Take these AEs' requests whose report is due, the oldest first, for LEASE_SECONDS."""
        with self._transactions.begin() as cursor:
            cursor.execute(
                "UPDATE commitments SET due_at = now() + %s * interval '1 second' "
                "WHERE (calling_ae, transaction_pseudonym) IN (SELECT calling_ae, transaction_pseudonym "
                "FROM commitments WHERE due_at <= now() AND calling_ae = ANY(%s) "
                "ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED) "
                "RETURNING calling_ae, transaction_pseudonym, request, attempts, "
                "extract(epoch FROM now() - requested_at)",
                (LEASE_SECONDS, list(calling_aes), limit),
            )
            return self._opened(cursor)

    def renew(self, request: CommitmentRequest) -> bool:
        """Keep a request for LEASE_SECONDS more; False when its lease is over, and another may have it."""
        with self._transactions.begin() as cursor:
            cursor.execute(
                "UPDATE commitments SET due_at = now() + %s * interval '1 second' "
                "WHERE calling_ae = %s AND transaction_pseudonym = %s AND due_at > now()",
                (LEASE_SECONDS, *self._key(request)),
            )
            return cursor.rowcount == 1

    def postpone(self, request: CommitmentRequest, seconds: float, *, failed: bool) -> None:
        """Try again later; `failed` says that a report was tried and not answered Success."""
        with self._transactions.begin() as cursor:
            cursor.execute(
                "UPDATE commitments SET due_at = now() + %s * interval '1 second', attempts = attempts + %s "
                "WHERE calling_ae = %s AND transaction_pseudonym = %s",
                (seconds, int(failed), *self._key(request)),
            )

    def close(self, request: CommitmentRequest) -> None:
        """Forget a request: its report was answered, or given up."""
        with self._transactions.begin() as cursor:
            cursor.execute(
                "DELETE FROM commitments WHERE calling_ae = %s AND transaction_pseudonym = %s", self._key(request)
            )

    def expire(self, seconds: float, calling_aes: Collection[str]) -> list[str]:
        """Forget requests older than this whose AE is none of these; give the AE of each."""
        with self._transactions.begin() as cursor:
            cursor.execute(
                "DELETE FROM commitments WHERE requested_at < now() - %s * interval '1 second' "
                "AND due_at <= now() AND calling_ae <> ALL(%s) RETURNING calling_ae",
                (seconds, list(calling_aes)),
            )
            return [str(row[0]) for row in cursor.fetchall()]

    def hang_up(self) -> None:
        """Close this thread's connection."""
        self._transactions.close()

    def _opened(self, cursor: "cursor") -> list[Open]:
        found = []
        for ae, name, sealed, attempts, age in cursor.fetchall():
            try:
                found.append(Open(self._read((ae, name), sealed), attempts, float(age)))
            except BadMessage as error:  # sealed with another key: it waits for that key
                get_log().error("request for commitment not readable", cause=error.cause, calling_ae=ae)
        return found

    def _key(self, request: CommitmentRequest) -> tuple[str, str]:
        return request.calling_ae, self._pseudonyms.uid(request.transaction_uid)

    def _read(self, key: tuple[str, str], sealed: bytes) -> CommitmentRequest:
        transaction, pairs = json.loads(self._vault.open_bytes(sealed, aad=_aad(key)))
        return CommitmentRequest(key[0], transaction, tuple(Reference(*pair) for pair in pairs))


def _aad(key: tuple[str, str]) -> str:
    return "commitment\0" + "\0".join(key)


def _written(request: CommitmentRequest) -> bytes:
    pairs = [(one.sop_class_uid, one.sop_instance_uid) for one in request.references]
    return json.dumps([request.transaction_uid, pairs]).encode()
