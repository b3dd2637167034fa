"""An object that is missing because it was purged on purpose has expired; one that is missing otherwise was lost."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing
from typing import Protocol
from uuid import UUID

from consumers.decoding.decoders import Fetched
from consumers.imaging.inputs import InputSpec
from radstream.postgres import connect, translated
from radstream.settings import Settings
from schemas.errors import NotEvaluable, ObjectMissing
from schemas.instance_received import InstanceReceived
from schemas.words import Reason


class Submits(Protocol):
    """The decoders, as a group asks them."""

    def submit(self, event: InstanceReceived, specs: Sequence[InputSpec]) -> "Future[Fetched]":
        """Queue an image, wanted in these forms."""


class KnowingPurges:
    """The decoders, and whoever can say of an event that its object was purged."""

    def __init__(self, pool: Submits, purged: Callable[[UUID], bool]) -> None:
        self._pool = pool
        self._purged = purged

    def submit(self, event: InstanceReceived, specs: Sequence[InputSpec]) -> "Future[Fetched]":
        """Queue an image; a purged one's future gives `object_expired` where the pool's raises ObjectMissing."""
        made: Future[Fetched] = Future()

        def done(first: "Future[Fetched]") -> None:
            try:
                made.set_result(self._known(event, first))
            # A future carries any error to the loop, which judges it: PostgreSQL being away holds the lane.
            except Exception as error:  # noqa: BLE001
                made.set_exception(error)

        self._pool.submit(event, specs).add_done_callback(done)
        return made

    def _known(self, event: InstanceReceived, first: "Future[Fetched]") -> Fetched:
        try:
            return first.result()
        except ObjectMissing:
            if not self._purged(event.event_id):
                raise
            return Fetched(NotEvaluable(Reason.OBJECT_EXPIRED), 0.0, 0.0)


def purged_by_journal(settings: Settings) -> Callable[[UUID], bool]:
    """Ask the journal, on a connection of its own each time: objects are seldom missing. Raises PostgresDown."""

    def purged(event_id: UUID) -> bool:
        with translated(), closing(connect(settings, "radstream-purges")) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM journal WHERE event_id = %s AND state = 'purged'", (str(event_id),))
            return cursor.fetchone() is not None

    return purged
