"""Images into the log by hand, and what the groups made of them."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import pytest

from radstream.broker.kafka import last_stable_offsets, reader
from radstream.broker.topic_reader import read_to_end
from radstream.deadletters import letter
from radstream.settings import Settings
from radstream.stack.site import Site
from schemas.errors import BadMessage
from schemas.inference_completed import InferenceCompleted
from schemas.message_dead_lettered import MessageDeadLettered
from schemas.topics import COMPLETED, DEAD_LETTERED, STUDY_PARTITIONS
from tests.integration.consumers.trial import Trial
from tests.publishing import Sender
from tests.running import until

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Made:
    """What became visible to readers of committed records since the test began."""

    settings: Settings
    sender: Sender
    start: dict[str, dict[int, int]]

    def results(self, events: Collection[UUID]) -> list[InferenceCompleted]:
        """Give the results of events, as often as they stand in the log."""
        return [one for one in self._read(COMPLETED, InferenceCompleted) if one.event_id in events]

    def letters(self, events: Collection[UUID | None]) -> list[MessageDeadLettered]:
        """Give the dead letters of events; None is that of messages that name no event."""
        return [one for one in self._read(DEAD_LETTERED, MessageDeadLettered) if one.event_id in events]

    def opened_letter(self, value: bytes, seconds: float = 20) -> MessageDeadLettered:
        """Wait for the sealed letter whose bytes were `value`: other tests' rubbish may stand in the log, too."""

        def found() -> list[MessageDeadLettered]:
            return [one for one in self.letters([None]) if letter(self.settings, one.id).original == value]

        until(lambda: bool(found()), seconds, "no such dead letter")
        return found()[0]

    def wait(self, events: Collection[UUID], count: int | None = None, seconds: float = 60) -> list[InferenceCompleted]:
        """Wait until `count` events (else all) have a result, and give the results."""
        wanted = len(set(events)) if count is None else count
        until(
            lambda: len({one.event_id for one in self.results(events)}) >= wanted,
            seconds,
            f"fewer than {wanted} results",
        )
        return self.results(events)

    def _read(self, topic: str, kind: type[T]) -> list[T]:
        found = []
        for message in read_to_end(self.settings, topic, self.start[topic]):
            try:
                found.append(self.sender.codec.decode(message.value))
            except BadMessage:
                continue  # another test's rubbish
        return [one for one in found if isinstance(one, kind)]


@pytest.fixture
def sender(stack: Settings) -> Sender:
    """Give the listener's part."""
    return Sender(stack)


@pytest.fixture
def made(stack: Settings, sender: Sender) -> Made:
    """Remember where the log ended when the test began."""
    return made_from_now(stack, sender)


def made_from_now(settings: Settings, sender: Sender) -> Made:
    """Look at what becomes visible from now on."""
    client = reader(settings)
    start = {topic: last_stable_offsets(client, topic, STUDY_PARTITIONS) for topic in (COMPLETED, DEAD_LETTERED)}
    client.close()
    return Made(settings, sender, start)


@pytest.fixture
def trial(stack: Settings, site: Site, plain_environment: dict[str, str], sender: Sender, tmp_path: Path) -> Trial:
    """Give a model whose version 1.0.0 is there, and is the configured one."""
    made = Trial(stack, plain_environment | site.environment, sender, tmp_path / "packages")
    made.package("1.0.0")
    return made
