"""The results that a person or a program asks for: the PostgreSQL view `results`, with the vault's identifiers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg2.extras

from radstream.journal.journal import JournalReader, pseudonyms_of
from radstream.journal.vault import Vault
from radstream.postgres import connect, translated
from radstream.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One image and model: the fields of INTERFACE.md, "A result". Only the visible revision."""

    result_id: UUID
    result_revision: int
    sop_instance_uid: str  # the pseudonym where `pseudonymous`
    study_instance_uid: str  # the pseudonym where `pseudonymous`
    pseudonymous: bool
    model: str
    model_version: str
    deployment_revision: int
    role: str
    outcome: str
    probabilities: Mapping[str, float] | None
    finding: str | None
    threshold: float | None
    needs_review: bool
    reason: str | None
    lane: str
    site: str
    received_at: datetime
    completed_at: datetime
    latency_ms: float
    heatmap: str | None

    def as_json(self) -> dict[str, Any]:
        """Give what `json.dumps` takes: UUIDs and times as text (RFC 3339 UTC)."""
        return {one.name: _plain(getattr(self, one.name)) for one in fields(self)}


#: A row that was stored by a transaction that began earlier may appear this much later (seconds).
_OVERLAP = timedelta(seconds=30)
_COLUMNS = tuple(one.name for one in fields(Result))


def results(settings: Settings, *, study: str | None = None, since: datetime | None = None) -> list[Result]:
    """Give the visible results, oldest completed first; raise PostgresDown.

    `study` is a Study Instance UID or its pseudonym; `since` (UTC) bounds `completed_at`.
    Identifiers are real where the vault's key and the journal's row are there, else pseudonyms.
    """
    return _named(settings, _read(settings, _studies(settings, study), since, None))


def follow(
    settings: Settings,
    *,
    study: str | None = None,
    since: datetime | None = None,
    wait: Callable[[], bool],
) -> Iterator[Result]:
    """Give the visible results as `results` does, then each new one and each new revision as it is stored.

    `wait` is called between two looks: it pauses, and ends the stream by returning False. Raises PostgresDown.
    """
    names = _studies(settings, study)
    given: dict[UUID, int] = {}
    stored_after: datetime | None = None
    while True:
        looked = datetime.now(UTC)
        found = [
            one
            for one in _read(settings, names, since, stored_after)
            if given.get(one.result_id) != one.result_revision
        ]
        given |= {one.result_id: one.result_revision for one in found}
        yield from _named(settings, found)
        stored_after = looked - _OVERLAP
        if not wait():
            return


def outcomes_of(settings: Settings, event_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Say for events how they ended (evaluated, not_evaluated); those without a result are absent."""
    with translated(), closing(connect(settings)) as connection, connection.cursor() as cursor:
        psycopg2.extras.register_uuid(conn_or_curs=connection)  # type: ignore[no-untyped-call] # has no types
        cursor.execute(
            "SELECT event_id, min(outcome) FROM inference_results WHERE event_id = ANY(%s) GROUP BY event_id",
            (list(event_ids),),
        )
        return {event: str(outcome) for event, outcome in cursor.fetchall()}


def _studies(settings: Settings, study: str | None) -> list[str] | None:
    """Name the study as the table may know it: by itself, or by its pseudonym under each key."""
    if study is None:
        return None
    return (
        [study] if settings.pseudonym_key is None else [study, *(keys.uid(study) for keys in pseudonyms_of(settings))]
    )


def _read(
    settings: Settings, studies: list[str] | None, since: datetime | None, stored_after: datetime | None
) -> list[Result]:
    with translated(), closing(connect(settings)) as connection, connection.cursor() as cursor:
        psycopg2.extras.register_uuid(conn_or_curs=connection)  # type: ignore[no-untyped-call] # has no types
        cursor.execute(
            f"SELECT {', '.join(_COLUMNS)} FROM results "  # noqa: S608 - the view's columns, no values
            "WHERE (%(studies)s::text[] IS NULL OR study_instance_uid = ANY(%(studies)s)) "
            "AND (%(since)s::timestamptz IS NULL OR completed_at >= %(since)s) "
            "AND (%(after)s::timestamptz IS NULL OR result_id IN "
            "(SELECT result_id FROM inference_results WHERE stored_at >= %(after)s)) "
            "ORDER BY completed_at, result_id",
            {"studies": studies, "since": since, "after": stored_after},
        )
        return [Result(**dict(zip(_COLUMNS, row, strict=True))) for row in cursor.fetchall()]


def _named(settings: Settings, found: Sequence[Result]) -> list[Result]:
    """Put the identifiers in where the vault gives them."""
    if settings.vault_key is None or not found:
        return list(found)
    journal = JournalReader(lambda: connect(settings), Vault(settings.vault_key))
    known = journal.identifiers_of([one.sop_instance_uid for one in found])
    return [
        replace(
            one,
            sop_instance_uid=known[one.sop_instance_uid]["sop_instance_uid"],
            study_instance_uid=known[one.sop_instance_uid]["study_instance_uid"],
            pseudonymous=False,
        )
        if one.sop_instance_uid in known
        else one
        for one in found
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, UUID) else value
