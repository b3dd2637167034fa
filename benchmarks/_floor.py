"""The least that the log itself costs: publish a record, read it, write another in a transaction, read that committed.

Runs beside what is measured, in the same seconds, so that whatever slows one slows the other.
"""

import threading
import time
from contextlib import closing
from uuid import uuid4

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # re-exported without `__all__`

from radstream.broker import kafka
from radstream.settings import Settings

WAIT_SECONDS = 0.2
PAYLOAD = b"x" * 600  # an event's usual size


class Floor:
    """Publishes at a steady rate and times each round trip (ms)."""

    def __init__(self, settings: Settings, per_second: float) -> None:
        self._settings = settings
        self._period = 1.0 / per_second
        self._name = f"benchmark.floor.{uuid4().hex[:8]}"
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._transact, self._read, self._send)]
        self.round_trips_ms: list[float] = []

    def start(self) -> None:
        """Make the topics, start the three parts."""
        client = kafka.admin(self._settings)
        topics = [NewTopic(f"{self._name}.{side}", 1, 1) for side in ("in", "out")]
        for made in client.create_topics(topics).values():
            made.result()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End all parts."""
        self._stop.set()
        for thread in self._threads:
            thread.join(5)

    def _reader(self, side: str) -> Consumer:
        client = kafka.reader(self._settings, enable_partition_eof=False)
        client.assign([TopicPartition(f"{self._name}.{side}", 0, 0)])
        return client

    def _send(self) -> None:
        client = kafka.producer(self._settings)
        due = time.monotonic() + 1.0
        while not self._stop.is_set():
            time.sleep(max(0.0, due - time.monotonic()))
            due += self._period
            client.produce(f"{self._name}.in", PAYLOAD, key=str(time.time_ns()).encode())
            client.flush(kafka.CALL_SECONDS)

    def _transact(self) -> None:
        writer = kafka.producer(self._settings, f"{self._name}.writer")
        writer.init_transactions(kafka.CALL_SECONDS)
        group = f"{self._name}.group"
        with closing(kafka.consumer(self._settings, group, auto_offset_reset="earliest")) as client:
            client.subscribe([f"{self._name}.in"])
            while not self._stop.is_set():
                one = client.poll(WAIT_SECONDS)
                if one is None or one.error():
                    continue
                writer.begin_transaction()
                writer.produce(f"{self._name}.out", one.value(), key=one.key())
                after = TopicPartition(str(one.topic()), int(one.partition() or 0), int(one.offset() or 0) + 1)
                writer.send_offsets_to_transaction([after], client.consumer_group_metadata(), kafka.CALL_SECONDS)
                writer.commit_transaction(kafka.CALL_SECONDS)

    def _read(self) -> None:
        with closing(self._reader("out")) as client:
            while not self._stop.is_set():
                one = client.poll(WAIT_SECONDS)
                if one is not None and not one.error():
                    self.round_trips_ms.append((time.time_ns() - int(one.key() or b"0")) / 1e6)
