"""The least that `published` can cost: insert into the journal, put the object, publish in a transaction; nothing else.

`python benchmarks/_bare.py` reads files' names from its input and the servers from the environment; prints JSON.
The listener's own clients (psycopg2, minio-py, confluent-kafka), the same servers; 4 threads (as many images under way
as four associations have), each with a connection and a transactional.id of its own, one row, one object and one
transaction an image. No DICOM, no spool, no hash, no fsync, no sender beside it.
"""

import json
import queue
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg2.extras
from confluent_kafka import KafkaException
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # re-exported without `__all__`

from radstream.broker.kafka import CALL_SECONDS, admin, producer
from radstream.objects.stores import S3Objects, s3_objects
from radstream.postgres import connect
from radstream.settings import Settings
from schemas.topics import STUDY_PARTITIONS

THREADS = 4
TOPIC = "benchmark.bare"
EVENT = b"x" * 600  # an event's usual size
IDENTIFIERS = b"x" * 400  # sealed identifiers' usual size

#: The journal's own constraints and indices, without its rows.
TABLE = "CREATE TABLE IF NOT EXISTS benchmark_bare (LIKE journal INCLUDING ALL)"
INSERT = (
    "INSERT INTO benchmark_bare (event_id, instance_pseudonym, study_pseudonym, key_id, revision, identity_changed, "
    "calling_ae, site, lane, object_key, size_bytes, identifiers, state, slot, received_at) "
    "VALUES (%s, %s, %s, '1', 1, false, 'BENCH', 'BENCH', 'routine', %s, %s, %s, 'received', 'bare', %s)"
)


class Bare:
    """Works off files; `seconds` of them all, once every thread is connected."""

    def __init__(self, settings: Settings, files: Sequence[Path]) -> None:
        self._settings = settings
        self._objects: S3Objects = s3_objects(settings)
        self._files: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for file in files:
            self._files.put(file)
        self._ready = threading.Barrier(THREADS + 1)

    def run(self) -> tuple[float, float]:
        """Give the seconds from the first image to the last, and of processor; raise what a thread raised."""
        failed: list[BaseException] = []
        threads = [threading.Thread(target=self._work, args=(number, failed)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        self._ready.wait(60)
        began, used = time.monotonic(), time.process_time()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]
        return time.monotonic() - began, time.process_time() - used

    def _work(self, number: int, failed: list[BaseException]) -> None:
        try:
            client = producer(self._settings, f"{TOPIC}.{number}")
            client.init_transactions(CALL_SECONDS)
            with closing(connect(self._settings, "bare")) as connection:
                psycopg2.extras.register_uuid(conn_or_curs=connection)  # type: ignore[no-untyped-call]
                self._ready.wait(60)
                while True:
                    try:
                        file = self._files.get_nowait()
                    except queue.Empty:
                        return
                    event, size = uuid4(), file.stat().st_size
                    key = f"instances/{event.hex[:2]}/{event.hex}.dcm"
                    with connection, connection.cursor() as cursor:
                        row = (event, event.hex, event.hex, key, size, IDENTIFIERS, datetime.now(UTC))
                        cursor.execute(INSERT, row)
                    with file.open("rb") as body:
                        self._objects.put(key, body, size)
                    client.begin_transaction()
                    client.produce(TOPIC, EVENT, key=event.bytes)
                    client.commit_transaction(CALL_SECONDS)
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            failed.append(error)
            self._ready.abort()


def main() -> None:
    """Run over the files that the input names."""
    settings = Settings.from_environment()
    with closing(connect(settings, "bare")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(TABLE)
    client = admin(settings)
    with suppress(KafkaException):  # it is there already
        client.create_topics([NewTopic(TOPIC, STUDY_PARTITIONS, 1)])[TOPIC].result()
    files = [Path(name) for name in sys.stdin.read().split()]
    seconds, cpu_seconds = Bare(settings, files).run()
    print(json.dumps({"images": len(files), "seconds": seconds, "cpu_seconds": cpu_seconds}))


if __name__ == "__main__":
    main()
