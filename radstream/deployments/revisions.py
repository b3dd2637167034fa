"""What a replay or a recall needs to know of an event's results: the next revision, and the one that is visible."""

from collections.abc import Collection
from contextlib import closing
from uuid import UUID

from radstream.postgres import connect, translated
from radstream.settings import Settings


def next_revisions(settings: Settings, events: Collection[UUID]) -> dict[UUID, int]:
    """Take the next revision of each event's results, for this replay alone; raise PostgresDown.

    The sink may not have stored what a former replay asked for: that is why the number is kept beside the results. An
    event without a row has had its first revision, for a result was promised.
    """
    with translated(), closing(connect(settings)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO replays (event_id, result_revision) "
            "SELECT event_id, greatest(1, (SELECT max(result_revision) FROM inference_results AS known "
            "WHERE known.event_id = asked.event_id)) + 1 FROM unnest(%s::uuid[]) AS asked (event_id) ORDER BY event_id "
            "ON CONFLICT (event_id) DO UPDATE SET "
            "result_revision = greatest(excluded.result_revision, replays.result_revision + 1), asked_at = now() "
            "RETURNING event_id::text, result_revision",
            ([str(one) for one in events],),
        )
        return {UUID(event): int(revision) for event, revision in cursor.fetchall()}


def visible_results(settings: Settings, events: Collection[UUID]) -> dict[tuple[UUID | None, str], UUID]:
    """Give the visible result of each event and inference group, as far as the sink has come; raise PostgresDown.

    The version that made it may be withdrawn: then another answers a replay, and its result names this one.
    """
    with translated(), closing(connect(settings)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT made.event_id::text, made.model, made.lane, made.result_id::text "
            "FROM inference_results AS made JOIN results USING (result_id) "
            "WHERE made.event_id = ANY(%s::uuid[]) ORDER BY made.completed_at",
            ([str(one) for one in events],),
        )
        return {
            (UUID(event), f"inference.{model}.{lane}"): UUID(result) for event, model, lane, result in cursor.fetchall()
        }
