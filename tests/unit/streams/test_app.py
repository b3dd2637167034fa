"""The app's joints: what Faust would do by itself, and must not."""

import asyncio
from pathlib import Path

import faust
import pytest
from mode.utils.queues import FlowControlQueue

from radstream.service import Health
from radstream.settings import Settings
from schemas.codec import Codec
from schemas.topics import PANES_TABLE, TOPICS, WINDOWS_TABLE, changelog
from streams.app import build
from streams.transport import CommittedTransport, SteadyFlow
from tests.unit.schemas.test_codec import Ids


def app_of(folder: Path) -> faust.App:
    """Build the app without any server."""
    environment = {"RADSTREAM_STATE_DIR": str(folder), "RADSTREAM_VAULT_KEY": "ab" * 32}
    return build(Settings.from_environment(environment), Codec(Ids()), Health())[0]


def test_the_tables_changelogs_are_those_that_are_declared(tmp_path: Path) -> None:
    """Faust names its changelogs itself; the declared topics must be the same, with as many partitions."""
    declared = {topic.name: topic.partitions for topic in TOPICS if topic.compacted}

    app = app_of(tmp_path)

    assert {table.changelog_topic_name: table.partitions for table in app.tables.values()} == declared
    assert set(declared) == {changelog(PANES_TABLE), changelog(WINDOWS_TABLE)}


def test_the_app_leaves_topics_and_transactions_alone(tmp_path: Path) -> None:
    """Topics are created by the deployment; Faust's own exactly-once repeats and stalls."""
    conf = app_of(tmp_path).conf

    assert (conf.topic_allow_declare, conf.topic_disable_leader, conf.web_enabled) == (False, True, False)
    assert str(conf.processing_guarantee.value) == "at_least_once"


def test_everything_goes_through_our_transport(tmp_path: Path) -> None:
    """Consumer, producer and flow are ours, or aborted records are counted and records are lost."""
    app = app_of(tmp_path)

    assert isinstance(app.transport, CommittedTransport)
    assert isinstance(app.producer_transport, CommittedTransport)
    assert isinstance(app.flow_control, SteadyFlow)


@pytest.mark.parametrize(("suspended", "kept"), [(False, 1), (True, 0)])
def test_a_flow_that_never_stopped_keeps_its_records(suspended: bool, kept: int) -> None:  # noqa: FBT001 - a parameter
    """Resuming empties the queues only of what came in before a stop."""

    async def resumed() -> int:
        flow = SteadyFlow()
        flow.resume()
        queue: FlowControlQueue[int] = FlowControlQueue(flow_control=flow, clear_on_resume=True)
        queue.put_nowait(1)
        if suspended:
            flow.suspend()
        flow.resume()
        return queue.qsize()

    assert asyncio.run(resumed()) == kept
