"""Kafka's broker settings: one node in KRaft mode; a test holds the compose file to them."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from radstream.stack.ports import LOOPBACK

#: What the design needs of the broker, whatever its addresses are.
BROKER_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        # Topics come from schemas/topics.py alone.
        "auto.create.topics.enable": "false",
        "num.partitions": "4",
        # One node: nothing can be replicated.
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # Small and quick to recover.
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "log.cleaner.dedupe.buffer.size": "16777216",
        "group.initial.rebalance.delay.ms": "0",
        # A killed member's partitions move in under 10 s (KIP-848: the broker's settings, not the client's).
        "group.consumer.session.timeout.ms": "6000",
        "group.consumer.min.session.timeout.ms": "6000",
        "group.consumer.heartbeat.interval.ms": "2000",
        "group.consumer.min.heartbeat.interval.ms": "1000",
        # A dead producer's transaction holds read_committed readers for 10 s and this long.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        # As long as the events are kept: a group that sleeps over a holiday still knows its place.
        "offsets.retention.minutes": str(30 * 24 * 60),
    }
)


def server_properties(data_dir: Path, port: int, controller_port: int) -> str:
    """Render `server.properties` for a broker on loopback."""
    addresses = {
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "log.dirs": str(data_dir),
    }
    return "".join(f"{name}={value}\n" for name, value in {**BROKER_SETTINGS, **addresses}.items())
