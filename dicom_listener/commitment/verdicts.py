"""Whether an instance is committed: from the spool, the journal and the object store, and only when it is certain."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dicom_listener.commitment.words import CommitmentRequest, FailureReason, Reference, Verdicts
from radstream.journal.vault import Vault
from radstream.objects.stores import Objects
from radstream.postgres import Transactions
from schemas.errors import BadMessage, ObjectStoreDown
from schemas.identity import Pseudonyms

_SURE_STATES = frozenset({"published", "acknowledged"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What we know of an instance, over all its revisions."""

    waiting: bool = False  # in the spool, on its way, or the object store does not answer
    held: bool = False  # every revision that was not purged is in journal and object store, whole
    sop_class_uids: frozenset[str] = frozenset()


def decide(reference: Reference, standing: Standing) -> FailureReason | None:
    """Give the reason of a failure, or None for committed. Pure; what still waits has failed.

    >>> decide(Reference("1.2", "1.2.3"), Standing())
    <FailureReason.NO_SUCH_INSTANCE: 274>
    """
    if standing.waiting:
        return FailureReason.PROCESSING_FAILURE
    if not standing.sop_class_uids:
        return FailureReason.NO_SUCH_INSTANCE
    if standing.sop_class_uids != {reference.sop_class_uid}:
        return FailureReason.CLASS_INSTANCE_CONFLICT
    return None if standing.held else FailureReason.PROCESSING_FAILURE


class Judge(Protocol):
    """Who says what is committed."""

    def verdicts(self, request: CommitmentRequest, *, expired: bool) -> Verdicts | None:
        """Give a verdict on each reference; None while it is too early, never when `expired`. Raises Unavailable."""


class NoArchive:
    """We keep nothing for ever: no instance is committed, so that no modality deletes its only copy."""

    def verdicts(self, request: CommitmentRequest, *, expired: bool) -> Verdicts | None:  # noqa: ARG002 - as Judge's
        """Fail each reference."""
        return dict.fromkeys(request.references, FailureReason.PROCESSING_FAILURE)


class Archive:
    """Commits what journal and object store hold. Thread-safe."""

    def __init__(
        self,
        transactions: Transactions,
        vault: Vault,
        pseudonyms: Sequence[Pseudonyms],
        objects: Objects,
        spooled: Callable[[], frozenset[str]],
    ) -> None:
        self._transactions = transactions
        self._vault = vault
        self._pseudonyms = pseudonyms
        self._objects = objects
        self._spooled = spooled

    def verdicts(self, request: CommitmentRequest, *, expired: bool) -> Verdicts | None:
        """Look at the spool before the journal, since images move from the one to the other."""
        spooled = self._spooled()
        standings = self._standings({one.sop_instance_uid for one in request.references}, spooled)
        if not expired and any(standing.waiting for standing in standings.values()):
            return None
        return {one: decide(one, standings[one.sop_instance_uid]) for one in request.references}

    def _standings(self, uids: set[str], spooled: frozenset[str]) -> Mapping[str, Standing]:
        rows: dict[str, list[tuple[Any, ...]]] = {uid: [] for uid in uids}
        for uid, row in self._rows(uids):
            rows[uid].append(row)
        return {uid: Standing(waiting=True) if uid in spooled else self._standing(uid, rows[uid]) for uid in uids}

    def _rows(self, uids: set[str]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        by_name = {keys.uid(uid): uid for uid in uids for keys in self._pseudonyms}
        with self._transactions.begin() as cursor:
            cursor.execute(
                "SELECT instance_pseudonym, event_id, identifiers, object_key, size_bytes, state FROM journal "
                "WHERE instance_pseudonym = ANY(%s) AND state <> 'purged'",
                (list(by_name),),
            )
            found = cursor.fetchall()
        for name, *row in found:
            yield by_name[name], tuple(row)

    def _standing(self, uid: str, rows: Sequence[tuple[Any, ...]]) -> Standing:
        classes = set()
        held, waiting = bool(rows), False
        for event, sealed, key, size_bytes, state in rows:
            try:
                seen = self._vault.open(sealed, aad=str(event))
            except BadMessage:
                seen = {}
            held = held and seen.get("sop_instance_uid") == uid
            classes.add(seen.get("sop_class_uid", ""))
            waiting = waiting or state not in _SURE_STATES
            try:
                held = held and self._objects.size(key) == size_bytes
            except ObjectStoreDown:
                waiting = True
        return Standing(waiting=waiting, held=held, sop_class_uids=frozenset(classes))
