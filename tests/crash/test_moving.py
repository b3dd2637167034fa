"""A killed member's partitions move to the others in under 10 s: the broker's session (KIP-848) and a heartbeat."""

import random
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest
import stamina
from confluent_kafka.admin import NewTopic

from radstream.broker.kafka import CALL_SECONDS, admin
from radstream.broker.kafka_broker import KafkaBroker
from radstream.settings import Settings
from radstream.stack.site import Site
from schemas.errors import KafkaDown
from tests.running import until

pytestmark = [pytest.mark.stack, pytest.mark.crash, pytest.mark.timeout(900)]

PARTITIONS = 4
KILLS = 10
MOVED_SECONDS = 10.0
PATIENCE_SECONDS = 60.0


def member(topic: str, group: str, told: str) -> None:
    """Be a member of a group for ever, and write the numbers of its partitions into a file. Runs as a process."""
    reader = KafkaBroker(Settings.from_environment()).reader(group, [topic], lambda _lost: None)
    while True:
        reader.poll(10, 0.02)
        Path(told).write_text(" ".join(str(one.number) for one in reader.owned()), "ascii")


class Members:
    """The processes of a group."""

    def __init__(self, topic: str, folder: Path, environment: dict[str, str]) -> None:
        self._topic = topic
        self._folder = folder
        self._environment = environment
        self._running: dict[Path, subprocess.Popen[bytes]] = {}

    def grow(self) -> None:
        """Start one more."""
        told = self._folder / uuid4().hex
        code = f"from {__name__} import member; member({self._topic!r}, {self._topic!r}, {str(told)!r})"
        self._running[told] = subprocess.Popen([sys.executable, "-c", code], env=self._environment)

    def kill(self, told: Path) -> None:
        """End one without a word to the broker."""
        child = self._running.pop(told)
        child.kill()
        child.wait()

    def any(self) -> Path:
        """Choose one."""
        return random.choice([*self._running])  # noqa: S311 - no secret

    def owned(self) -> list[list[str]]:
        """Give the partitions of each that lives, as it says."""
        return [told.read_text("ascii").split() if told.exists() else [] for told in self._running]

    def own_all(self) -> bool:
        """Say whether each partition is with one of those that live."""
        return sorted(number for one in self.owned() for number in one) == [str(number) for number in range(PARTITIONS)]

    def close(self) -> None:
        """End all."""
        for told in [*self._running]:
            self.kill(told)


@pytest.mark.parametrize("count", [2, 3])
def test_a_killed_member_s_partitions_move(
    count: int, stack: Settings, site: Site, plain_environment: dict[str, str], tmp_path: Path
) -> None:
    """Killed at a random instant between two heartbeats, each time with another started in its place afterwards."""
    topic = f"moving.{uuid4().hex[:8]}"
    client = admin(stack)
    client.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(CALL_SECONDS)
    # A new topic's partitions have no leader for a moment.
    stamina.retry(on=KafkaDown, attempts=None, timeout=30)(KafkaBroker(stack).begin_group)(topic, [topic])
    members, moved = Members(topic, tmp_path, plain_environment | site.environment), []
    try:
        for _ in range(count):
            members.grow()
        for _ in range(KILLS):
            until(lambda: members.own_all() and all(members.owned()), PATIENCE_SECONDS, "a member has no partition")
            victim = members.any()
            over = time.monotonic() + random.uniform(0, 2)  # noqa: S311 - no secret
            until(lambda at=over: time.monotonic() > at)
            members.kill(victim)
            begun = time.monotonic()
            until(members.own_all, PATIENCE_SECONDS, "a killed member's partitions did not move")
            moved.append(time.monotonic() - begun)
            members.grow()
    finally:
        members.close()

    print(f"{count} members, partitions moved in {sorted(round(one, 1) for one in moved)} s")  # noqa: T201 - the figures
    assert max(moved) < MOVED_SECONDS
