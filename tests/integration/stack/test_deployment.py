"""What `radstream up` deploys to the real servers."""

from uuid import uuid4

import psycopg2
import pytest
import urllib3
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without `__all__`
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from radstream import deploy
from radstream.broker.kafka import admin, consumer, producer
from radstream.deployments.log import read_history
from radstream.objects.stores import s3_objects
from radstream.registry import COMPATIBILITY, RegistryIds
from radstream.settings import Settings
from schemas.topics import COMPLETED, RECEIVED_STAT, TICK, TOPICS

pytestmark = pytest.mark.stack


def test_topics_on_the_broker_are_those_of_the_table(stack: Settings) -> None:
    """Partitions, retention and compaction agree, and no topic stands beside the table but Kafka's own."""
    listed = set(admin(stack).list_topics(timeout=10).topics)

    assert deploy.differences(stack) == []
    assert {name for name in listed if not name.startswith("__")} >= {topic.name for topic in TOPICS}


def test_a_setting_that_was_changed_by_hand_is_seen_and_mended(stack: Settings) -> None:
    """`differences` names the topic and both values; a deployment sets the declared one."""
    client = admin(stack)
    entry = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, TICK, incremental_configs=[entry])
    client.incremental_alter_configs([resource])[resource].result(10)

    seen = deploy.differences(stack)
    mended = deploy.deploy_topics(stack)

    assert seen == [f"{TICK}: retention.ms is 1000, declared 86400000"]
    assert mended == [f"{TICK}: retention.ms set to 86400000"]
    assert deploy.differences(stack) == []


def test_a_second_deployment_changes_nothing(stack: Settings) -> None:
    """Every step can be repeated."""
    deploy.deploy(stack)
    first = read_history(stack, stack.model_dir.parent.name)
    deploy.deploy(stack)

    assert deploy.deploy_topics(stack) == []
    assert read_history(stack, stack.model_dir.parent.name) == first
    assert first[0].champion == stack.model_dir.name
    assert deploy.deploy_offsets(stack, deploy.groups_of(stack)) == []


def test_a_new_group_begins_at_the_earliest_offset(stack: Settings) -> None:
    """A group that was just deployed reads from the start on purpose; a second time nothing moves."""
    group, client = f"test.new-group.{uuid4()}", admin(stack)
    made = deploy.deploy_offsets(stack, {group: (TICK,)})
    again = deploy.deploy_offsets(stack, {group: (TICK,)})
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(TICK, 0)])
    known = client.list_consumer_group_offsets([asked])[group].result(10).topic_partitions

    assert made == [group]
    assert again == []
    assert known[0].offset >= 0


def test_a_kip848_consumer_goes_on_from_the_offsets_that_were_deployed(stack: Settings) -> None:
    """The group made by the deployment is taken over by a consumer of the new protocol, and reads what was there."""
    group = f"test.kip848.{uuid4()}"
    deploy.deploy_offsets(stack, {group: (TICK,)})
    writer = producer(stack)
    writer.produce(TICK, b"x", partition=0)
    writer.flush(10)
    reader = consumer(stack, group)
    reader.subscribe([TICK])

    message = reader.poll(20)
    reader.close()

    assert message is not None
    assert message.error() is None


def test_schemas_are_registered_and_may_only_grow(stack: Settings) -> None:
    """Every topic of ours has an id, and the registry's level is BACKWARD_TRANSITIVE."""
    registry = RegistryIds(stack.schema_registry_url)

    ids = {registry.id_of(topic.name) for topic in TOPICS if topic.record}

    assert all(number > 0 for number in ids)
    level = urllib3.request("GET", f"{stack.schema_registry_url}/config").json()
    assert level["compatibilityLevel"] == COMPATIBILITY


def test_tables_and_bucket_are_there(stack: Settings) -> None:
    """The database is at the newest revision, and an object that is not there is no error."""
    with psycopg2.connect(stack.postgres_url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM alembic_version")
        row = cursor.fetchone()
    connection.close()

    assert row == (1,)
    assert s3_objects(stack).size("instances/00/absent.dcm") is None


def test_groups_of_the_live_lanes_have_their_place(stack: Settings) -> None:
    """Each lane's inference group and the sink are known to the deployment, by their public names."""
    groups = deploy.groups_of(stack)

    assert groups["sink.postgres"] == (COMPLETED,)
    assert groups["inference.chest-pneumonia.stat"] == (RECEIVED_STAT,)


def test_the_object_store_keeps_connections(stack: Settings) -> None:
    """A put or a get does not pay for a connection of its own."""
    answer = urllib3.request("GET", stack.s3_url, retries=False)

    assert answer.headers.get("Connection", "keep-alive").lower() == "keep-alive"
