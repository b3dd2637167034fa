"""The group `sink.postgres`: every visible result into the database, and the newest into Redis."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from consumers.loop.dead_letters import DeadLetters
from consumers.loop.headers import address
from consumers.loop.window import InHand
from radstream.broker.contract import Message, Outgoing
from schemas.codec import Codec
from schemas.errors import BadMessage, UndecodableMessage
from schemas.inference_completed import InferenceCompleted

GROUP = "sink.postgres"


class Table(Protocol):
    """Where results must be."""

    def put(self, results: Sequence[InferenceCompleted]) -> None:
        """Store results idempotently; raise PostgresDown."""


class Shelf(Protocol):
    """Where results may be, for speed."""

    def add(self, results: Sequence[InferenceCompleted]) -> bool:
        """Put results in; say whether it worked. Never raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSink:
    """The handler."""

    table: Table
    shelf: Shelf
    codec: Codec
    letters: DeadLetters

    def begin(self, message: Message) -> "Future[InferenceCompleted | None]":
        """Read a result; a replay for another group is passed by."""
        made: Future[InferenceCompleted | None] = Future()
        made.set_result(self._result(message) if address(message.headers).concerns(GROUP) else None)
        return made

    def finish(self, done: Sequence[InferenceCompleted]) -> list[list[Outgoing]]:
        """Store results. The offsets are committed after the database did (the loop's `AtLeastOnce`)."""
        self.table.put(done)
        self.shelf.add(done)
        return [[] for _ in done]

    def give_up(self, item: InHand[InferenceCompleted], error: Exception) -> list[Outgoing]:
        """Make a dead letter: the log goes on."""
        try:
            event_id = self._result(item.message).event_id
        except BadMessage:
            event_id = None
        return [self.letters.record(item.message, error, item.attempts, item.first_seen, event_id)]

    def _result(self, message: Message) -> InferenceCompleted:
        result = self.codec.decode(message.value)
        if not isinstance(result, InferenceCompleted):
            raise UndecodableMessage(f"a {type(result).__name__} where an InferenceCompleted should be")
        return result
