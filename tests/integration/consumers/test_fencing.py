"""A member that was taken for dead can't commit: its group has others for its partitions (KIP-447, KIP-848)."""

import os
import signal
import subprocess
import sys
from uuid import uuid4

import pytest
import stamina
from confluent_kafka.admin import NewTopic

from consumers.loop.publish import InTransaction
from radstream.broker.contract import GroupReader, Message, Outgoing, Partition
from radstream.broker.kafka import CALL_SECONDS, admin
from radstream.broker.kafka_broker import KafkaBroker
from radstream.settings import Settings
from radstream.stack.site import Site
from schemas.errors import KafkaDown, TransactionAborted
from tests.running import until

pytestmark = pytest.mark.stack


def zombie(topic: str, group: str) -> None:
    """Read a message, and publish its answer when told to, whatever happened meanwhile. Runs in a process of its own.

    Its transactional id is nobody else's: nothing but the group's metadata can stop it.
    """
    broker = KafkaBroker(Settings.from_environment())
    reader = broker.reader(group, [topic], lambda _lost: None)
    found: list[Message] = []
    until(lambda: bool(found.extend(reader.poll(10, 0.1)) or found), 60, "nothing came")
    publisher = InTransaction(broker.transactional_writer(f"{group}.{uuid4()}"))
    print("read", flush=True)  # noqa: T201 - the parent waits for it
    sys.stdin.readline()
    answer = Outgoing(topic=f"{topic}.out", key=b"study", value=b"zombie", partition=0)
    try:
        publisher.publish([answer], {found[0].source: found[0].offset + 1}, reader)
    except TransactionAborted as error:
        print(f"refused: {error.__cause__}", flush=True)  # noqa: T201 - likewise
    else:
        print("committed", flush=True)  # noqa: T201 - likewise


def test_a_zombie_s_batch_is_refused_after_a_rebalance(
    stack: Settings, site: Site, plain_environment: dict[str, str]
) -> None:
    """Stopped past its session with a batch in hand, it wakes up when another has answered: one answer stands."""
    topic, group = f"fencing.{uuid4().hex[:8]}", f"fencing.{uuid4().hex[:8]}"
    client = admin(stack)
    for created in client.create_topics([NewTopic(topic, 1, 1), NewTopic(f"{topic}.out", 1, 1)]).values():
        created.result(CALL_SECONDS)
    broker, code = KafkaBroker(stack), f"from {__name__} import zombie; zombie({topic!r}, {group!r})"
    # A new topic's partitions have no leader for a moment.
    begin = stamina.retry(on=KafkaDown, attempts=None, timeout=30)(broker.begin_group)
    begin(group, [topic])
    begin(f"{group}.out", [f"{topic}.out"])
    broker.writer().write([Outgoing(topic=topic, key=b"study", value=b"image", partition=0)])
    child = subprocess.Popen(
        [sys.executable, "-c", code], env=plain_environment | site.environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    successor: GroupReader | None = None
    try:
        assert child.stdout.readline() == "read\n"
        os.kill(child.pid, signal.SIGSTOP)
        successor = broker.reader(group, [topic], lambda _lost: None)
        found: list[Message] = []
        until(lambda: bool(found.extend(successor.poll(10, 0.1)) or found), 60, "its partition did not move")
        answer = Outgoing(topic=f"{topic}.out", key=b"study", value=b"successor", partition=0)
        writer = InTransaction(broker.transactional_writer(f"{group}.{uuid4()}"))
        writer.publish([answer], {Partition(topic, 0): 1}, successor)

        child.stdin.write("publish\n")
        child.stdin.flush()
        os.kill(child.pid, signal.SIGCONT)
        said = child.stdout.readline()

        assert said.startswith("refused: "), said
        out = broker.reader(f"{group}.out", [f"{topic}.out"], lambda _lost: None)
        answers: list[Message] = []
        until(lambda: bool(answers.extend(out.poll(10, 0.1)) or answers), 60, "no answer to be seen")
        answers += out.poll(10, 1.0)
        out.close()
        assert [one.value for one in answers] == [b"successor"]
    finally:
        child.kill()
        child.communicate()
        if successor is not None:
            successor.close()
