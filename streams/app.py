"""The Faust app: its topics, tables and agents, put together. Nothing connects before it is started."""

from collections.abc import Callable, Coroutine
from typing import Any

import faust
from faust.types import EventT, StreamT, TableT, TopicT
from yarl import URL

from radstream.deployments.log import digest_of, read_history
from radstream.journal.vault import Vault
from radstream.objects.stores import s3_objects
from radstream.service import Health
from radstream.settings import Settings
from schemas.codec import Codec
from schemas.topics import COMPLETED, PANE_UPDATED, PANES_TABLE, SLICE_PARTITIONS, STREAMS_APP, TICK, WINDOWS_TABLE
from streams.packages import DeployedPackages
from streams.references import References
from streams.shell import Shell
from streams.transport import CommittedTransport, SteadyFlow

#: A worker that is silent for so long is out; its partitions move (seconds).
SESSION_SECONDS = 15.0
_HEARTBEAT_SECONDS = 3.0
#: Between two commits; what was read since is read again after a crash (seconds).
COMMIT_SECONDS = 1.0


def build(settings: Settings, codec: Codec, health: Health) -> tuple[faust.App, Shell]:
    """Put the app together, with its handlers."""
    folder = settings.state_dir / "streams"  # Faust wants one, though the memory store writes nothing there
    folder.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        STREAMS_APP,
        broker=[URL(f"kafka://{address.strip()}") for address in settings.kafka_bootstrap.split(",")],
        store="memory://",
        datadir=str(folder),
        key_serializer="raw",
        value_serializer="raw",
        processing_guarantee="at_least_once",
        broker_session_timeout=SESSION_SECONDS,
        broker_heartbeat_interval=_HEARTBEAT_SECONDS,
        broker_commit_interval=COMMIT_SECONDS,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        producer_compression_type="lz4",
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        web_enabled=False,
    )
    app.flow_control = SteadyFlow()
    app.transport = CommittedTransport(app.conf.broker_consumer, app)
    app.producer_transport = CommittedTransport(app.conf.broker_producer, app)
    references = References(
        DeployedPackages(
            settings.model_dir.parent.parent,
            lambda model, version: digest_of(read_history(settings, model), version),
            lambda: s3_objects(settings),
        )
    )
    shell = Shell(app, codec, references, Vault(settings.require_vault_key()), health)
    shell.panes_table = _table(app, PANES_TABLE, shell)
    shell.windows_table = _table(app, WINDOWS_TABLE, shell)
    for topic, handle in ((COMPLETED, shell.on_result), (PANE_UPDATED, shell.on_pane), (TICK, shell.on_tick)):
        app.agent(_raw(app, topic), name=f"streams.{topic}")(_each(handle))
    return app, shell


def _table(app: faust.App, name: str, shell: Shell) -> TableT[bytes, bytes]:
    """Declare a table of raw bytes; without the types Faust would read keys back as JSON."""
    return app.Table(name, key_type=bytes, value_type=bytes, partitions=SLICE_PARTITIONS, on_recover=shell.forget)


def _raw(app: faust.App, topic: str) -> TopicT:
    return app.topic(topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


def _each(handle: Callable[[EventT[bytes]], Coroutine[Any, Any, None]]) -> Callable[[StreamT[bytes]], Any]:
    async def consume(stream: StreamT[bytes]) -> None:
        async for event in stream.events():
            await handle(event)

    return consume
