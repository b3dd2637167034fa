"""Results into PostgreSQL: once each, the highest revision wins, in any order and however often."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg2.extras import Json, execute_values

from radstream.postgres import connect, translated
from radstream.settings import Settings
from schemas.inference_completed import InferenceCompleted

if TYPE_CHECKING:
    from psycopg2.extensions import connection

#: The table's columns; each has the name of the record's field.
COLUMNS = (
    "result_id", "result_revision", "supersedes", "event_id", "object_key", "sha256", "transfer_syntax_uid",
    "study_pseudonym", "instance_pseudonym", "model", "model_version", "deployment_revision", "role", "outcome",
    "probabilities", "finding", "threshold", "needs_review", "reason", "lane", "site", "calling_ae", "received_at",
    "completed_at", "stage_ms", "identity_changed", "heatmap_key", "review_reasons", "uncertainty",
    "out_of_distribution", "quality",
)  # fmt: skip

_UPSERT = f"""
    INSERT INTO inference_results ({", ".join(COLUMNS)}) VALUES %s
    ON CONFLICT (result_id) DO UPDATE SET ({", ".join(COLUMNS)}, stored_at)
        = ({", ".join(f"excluded.{name}" for name in COLUMNS)}, now())
    WHERE inference_results.result_revision < excluded.result_revision
"""  # noqa: S608 - names out of the table above, no values


class ResultTable:
    """The table behind the view `results`. One thread uses it; it connects again after a loss."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: connection | None = None

    def put(self, results: Sequence[InferenceCompleted]) -> None:
        """Store results in one database transaction; raise PostgresDown, then nothing is stored or everything is."""
        newest = highest_revisions(results)
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._settings, "radstream-sink")
        try:
            with translated(), self._connection, self._connection.cursor() as cursor:
                execute_values(cursor, _UPSERT, [row(one) for one in newest])
        finally:
            if self._connection.closed:
                self._connection = None

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()


def highest_revisions(results: Sequence[InferenceCompleted]) -> list[InferenceCompleted]:
    """Keep one of each id: a statement must not touch a row twice."""
    found: dict[UUID, InferenceCompleted] = {}
    for one in results:
        if one.result_id not in found or found[one.result_id].result_revision < one.result_revision:
            found[one.result_id] = one
    return list(found.values())


def row(result: InferenceCompleted) -> tuple[Any, ...]:
    """Give the columns' values as psycopg2 takes them."""
    return tuple(_column(getattr(result, name)) for name in COLUMNS)


def _column(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Mapping):
        return Json(dict(value))
    # psycopg2 turns lists, not tuples, into arrays.
    return [str(one) for one in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
