"""Our inference service as a process, its input by hand, and a reader of what it commits."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.request import urlopen
from uuid import uuid4

from _receivers import free_port
from confluent_kafka import TopicPartition

from consumers.loop.headers import EVENT_TIME
from radstream.broker import kafka
from radstream.broker.contract import Outgoing
from radstream.broker.kafka_broker import KafkaBroker, message_of
from radstream.registry import RegistryIds
from radstream.settings import Settings, process_environment
from radstream.stack.probes import health
from schemas.codec import Codec
from schemas.instance_received import InstanceReceived
from schemas.topics import COMPLETED, RECEIVED_OF, STUDY_PARTITIONS
from schemas.words import Lane

READY_SECONDS = 60.0
_CALL_SECONDS = 10.0


@dataclass(slots=True)
class Process:
    """One inference process."""

    popen: "subprocess.Popen[bytes]"
    port: int

    def meter(self, line: str) -> float:
        """Sum the values of its metrics that begin with `line`."""
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            found = [text for text in answer.read().decode().splitlines() if text.startswith(line)]
        return sum(float(text.rpartition(" ")[2]) for text in found)


@contextmanager
def inference(environment: Mapping[str, str], slot: str = "0", *, wait: bool = True) -> Iterator[Process]:
    """Run an inference process, its HTTP door at a free port; its log goes nowhere."""
    port = free_port()
    own = {
        "RADSTREAM_METRICS_PORT": str(port),
        "RADSTREAM_PREDICT_PORT": str(free_port()),
        "RADSTREAM_INFERENCE_SLOT": slot,
    }
    popen = subprocess.Popen(
        [sys.executable, "-m", "consumers", "inference"],
        env={**process_environment(), **environment, **own},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while wait and health(port) != "":
            if popen.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"inference did not get ready (exit status {popen.poll()})")
            time.sleep(0.05)
        yield Process(popen, port)
    finally:
        popen.terminate()
        popen.wait(20)


class Publisher:
    """Writes events as the listener does, each of an image of its own."""

    def __init__(self, settings: Settings) -> None:
        self._codec = Codec(RegistryIds(settings.schema_registry_url))
        self._writer = KafkaBroker(settings).writer()

    def publish(self, events: Sequence[InstanceReceived], lane: Lane = Lane.ROUTINE) -> None:
        """Publish events as new images that arrive now."""
        self._writer.write([self._record(event, lane) for event in events])

    def _record(self, event: InstanceReceived, lane: Lane) -> Outgoing:
        study = f"2.25.{uuid4().int}"
        fresh = replace(
            event,
            event_id=uuid4(),
            instance_pseudonym=f"2.25.{uuid4().int}",
            study_pseudonym=study,
            lane=lane,
            received_at=datetime.now(UTC),
        )
        headers = {EVENT_TIME: fresh.received_at.isoformat().encode()}
        topic = RECEIVED_OF[lane]
        return Outgoing(topic=topic, key=study.encode(), value=self._codec.encode(topic, fresh), headers=headers)


class Results:
    """Reads committed results as they come, and notes when (Unix seconds) and of which receipt."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self.seen: list[tuple[float, float]] = []  # arrival, receipt
        self._thread.start()
        self._ready.wait(_CALL_SECONDS)

    def wait(self, count: int, seconds: float) -> None:
        """Wait for so many results in all."""
        deadline = time.monotonic() + seconds
        while len(self.seen) < count:
            if time.monotonic() > deadline:
                raise SystemExit(f"{len(self.seen)} of {count} results after {seconds:.0f} s")
            time.sleep(0.002)

    def close(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        with closing(kafka.reader(self._settings, enable_partition_eof=False)) as client:
            ends = [TopicPartition(COMPLETED, number) for number in range(STUDY_PARTITIONS)]
            for one in ends:
                one.offset = client.get_watermark_offsets(one, timeout=_CALL_SECONDS)[1]
            client.assign(ends)
            self._ready.set()
            while not self._stop.is_set():
                message = client.poll(0.05)
                if message is not None and not message.error():
                    received = message_of(message).headers[EVENT_TIME].decode()
                    self.seen.append((time.time(), datetime.fromisoformat(received).timestamp()))


def cores() -> int:
    """Say how many cores we may use."""
    return len(os.sched_getaffinity(0))
