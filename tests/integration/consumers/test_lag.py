"""Lag and dead letters, as a person asks for them."""

import json
import subprocess
import sys
from collections.abc import Callable
from uuid import uuid4

import pytest

from radstream.deadletters import letter, letters
from radstream.lag.lag import GroupLag, LagState, measure
from radstream.settings import Settings
from schemas.errors import NoSuchLetter
from schemas.topics import RECEIVED_STAT
from schemas.words import Lane
from tests.integration.consumers.conftest import Made
from tests.integration.consumers.films import film
from tests.publishing import Sender
from tests.running import Service, until

pytestmark = pytest.mark.stack

Start = Callable[..., Service]
STAT_GROUP = "inference.chest-pneumonia.stat"


def lag_of(settings: Settings, group: str) -> GroupLag:
    """Measure one group."""
    return next(one for one in measure(settings, window_s=0.5) if one.group == group)


def test_a_group_without_members_is_stopped_and_says_how_far_behind(
    service: Start, stack: Settings, sender: Sender, made: Made
) -> None:
    """Messages, age of the first, and its image's waiting time; when it runs again all are nought."""
    inference = service("inference")
    inference.stop()
    before = lag_of(stack, STAT_GROUP).lag_messages
    sent = [sender.send(film(), Lane.STAT).event_id for _ in range(3)]

    until(lambda: lag_of(stack, STAT_GROUP).state is LagState.STOP, 20, "not seen as stopped")
    behind = lag_of(stack, STAT_GROUP)
    inference.start()
    made.wait(sent)

    assert (behind.lane, behind.lag_messages) == ("stat", before + 3)
    assert behind.oldest_waiting_seconds >= behind.lag_seconds > 0
    until(lambda: lag_of(stack, STAT_GROUP).lag_messages == 0, 20, "markers were taken for messages")
    level = lag_of(stack, STAT_GROUP)
    assert (level.lag_seconds, level.oldest_waiting_seconds, level.state) == (0, 0, LagState.OK)


def test_a_sealed_letter_can_be_read_with_the_key(service: Start, stack: Settings, sender: Sender, made: Made) -> None:
    """`radstream dlq show` opens it; without the key it stays sealed."""
    service("inference")
    value = f"no event {uuid4()}".encode()

    sender.publish_bytes(RECEIVED_STAT, b"study", value)

    sealed = made.opened_letter(value)
    assert letter(stack, sealed.id).original == value
    assert sealed.encrypted
    assert value not in sealed.original
    assert sealed.id in {one.id for one in letters(stack, cause="undecodable_message")}


def test_an_unknown_letter_is_named(stack: Settings) -> None:
    """With its id and what to do."""
    wanted = uuid4()

    with pytest.raises(NoSuchLetter, match=str(wanted)):
        letter(stack, wanted)


@pytest.mark.parametrize("name", ["inference", "sink"])
def test_a_server_that_is_down_at_the_start_ends_it_with_one_line(
    plain_environment: dict[str, str], stack: Settings, name: str
) -> None:
    """Status 1, what is down and which setting says where, no traceback."""
    down = {"RADSTREAM_SCHEMA_REGISTRY_URL": "http://127.0.0.1:9", "RADSTREAM_METRICS_PORT": "0"}
    environment = plain_environment | {"RADSTREAM_STATE_DIR": str(stack.state_dir)} | down

    done = subprocess.run(
        [sys.executable, "-m", "consumers", name],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    said = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert (done.returncode, len(said)) == (1, 1)
    assert said[0].startswith(f"{name}: ")
    assert "RADSTREAM_SCHEMA_REGISTRY_URL" in said[0]
    assert json.loads(done.stderr.splitlines()[0])["service"] == name
