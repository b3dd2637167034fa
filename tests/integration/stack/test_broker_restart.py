"""The Kafka that we ship ends what its producers left open, also when it was killed itself (ADR 31)."""

import os
import signal
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic

from radstream.broker.kafka import CALL_SECONDS, admin
from radstream.broker.topic_reader import read_to_end
from radstream.settings import Settings
from radstream.stack.probes import kafka
from radstream.stack.site import Site
from radstream.stack.supervision import Supervisor
from tests.running import until

pytestmark = pytest.mark.stack

PRODUCERS, PARTITIONS = 6, 4
#: Over while the broker starts: it then ends the transaction before it has told the cluster that it is back.
TRANSACTION_MS = 1_000


def producer(settings: Settings, transactional_id: str) -> Producer:
    """Take a transactional.id."""
    made = Producer(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "transactional.id": transactional_id,
            "transaction.timeout.ms": TRANSACTION_MS,
            "log_level": 0,
        }
    )
    made.init_transactions(CALL_SECONDS)
    made.begin_transaction()
    return made


def leave_open(settings: Settings, topic: str, name: str) -> None:
    """Open a transaction with a record in each partition, and wait until the broker has them."""
    made = producer(settings, f"{topic}.{name}")
    for partition in range(PARTITIONS):
        made.produce(topic, value=f"open {name}".encode(), partition=partition)
    assert made.flush(CALL_SECONDS) == 0


def test_records_of_a_transaction_that_timed_out_while_the_broker_was_down_stay_unseen(
    stack: Settings, site: Site
) -> None:
    """Kafka 4.3.0 to 4.4.0 lose the markers that end it; the producer's next commit then shows what it never committed.

    The producers go away with their transactions open and come back under the same transactional.id.
    """
    topic = f"restart.{uuid4().hex[:8]}"
    client = admin(stack)
    client.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(CALL_SECONDS)
    _, before, _ = Supervisor(site).states()["kafka"]
    for number in range(PRODUCERS):
        leave_open(stack, topic, str(number))

    os.kill(before, signal.SIGKILL)
    until(lambda: Supervisor(site).states()["kafka"][1] not in {0, before}, 30, "Kafka was not started again")
    until(lambda: kafka(site) == "", 60, "Kafka does not answer")

    for number in range(PRODUCERS):
        again = producer(stack, f"{topic}.{number}")
        for partition in range(PARTITIONS):
            again.produce(topic, value=b"committed", partition=partition)
        again.commit_transaction(CALL_SECONDS)
    assert {one.value for one in read_to_end(stack, topic)} == {b"committed"}
