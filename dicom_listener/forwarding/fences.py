"""The writers of a slot, each with a transactional.id of its own, and which of them are known to be over.

What a writer had begun is over once its id was fenced (`init_transactions`, KIP-98): then the log decides about what it
left in doubt.
"""

import time

from confluent_kafka import Producer

from radstream.broker.kafka import CALL_SECONDS, TRANSACTION_TIMEOUT_MS, producer, translated
from radstream.settings import Settings

#: Writers of a slot for each lane, under policy `published` and under `spool`, where nobody waits for the log (count).
WRITERS, WRITERS_UNDER_SPOOL = 2, 1
#: Writers that a slot may ever have had (count): whoever adopts it fences all their ids. Never make it fewer.
MOST_WRITERS = 4
#: After this, a transaction that somebody else began is over: three times its time-out.
FOREIGN_DOUBT_SECONDS = 3 * TRANSACTION_TIMEOUT_MS / 1000


class Fences:
    """What is known in one process. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fenced: dict[str, float] = {}

    def fence_slot(self, slot: str) -> None:
        """End what a slot that nobody holds had begun: its doubts of before can be settled. Raises KafkaDown."""
        for number in range(MOST_WRITERS):
            self.producer_of(writer_of(slot, number))

    def producer_of(self, writer: str) -> Producer:
        """Give a new producer under a writer's id, which fences whoever had it. Raises KafkaDown, Fenced."""
        name = transactional_id(writer)
        client = producer(self._settings, name)
        with translated(name):
            client.init_transactions(CALL_SECONDS)
        self.fenced(writer)
        return client

    def fenced(self, writer: str) -> None:
        """Note that a writer's id was fenced just now."""
        self._fenced[writer] = time.monotonic()

    def is_over(self, writer: str, age_seconds: float) -> bool:
        """Say whether what a writer began so long ago is over for certain."""
        fenced = self._fenced.get(writer)
        return age_seconds > FOREIGN_DOUBT_SECONDS or (fenced is not None and age_seconds > time.monotonic() - fenced)


def writer_of(slot: str, number: int) -> str:
    """Name a writer of a slot, as its rows in the journal do.

    >>> writer_of("0-1", 0), writer_of("0-1", 2)
    ('0-1', '0-1+2')
    """
    return f"{slot}+{number}" if number else slot


def transactional_id(writer: str) -> str:
    """Give a writer's transactional.id."""
    return f"dicom_listener.{writer}"
