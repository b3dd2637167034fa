"""Deployment: what must be there before a service starts. Every step can be repeated; services never do any of it."""

import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2
import stamina
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without `__all__`
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from radstream.broker.kafka import CALL_SECONDS, admin, translated
from radstream.broker.kafka_broker import KafkaBroker
from radstream.deployments.log import deploy_first
from radstream.objects.stores import s3_objects
from radstream.postgres import translated as translated_postgres
from radstream.registry import deploy_schemas
from radstream.settings import Settings
from schemas.errors import KafkaDown, RadStreamError, StackNotReady
from schemas.topics import COMPLETED, RECEIVED_ROUTINE, RECEIVED_STAT, TOPICS, Topic
from schemas.words import Lane

DATABASE = "radstream"
OFFSETS_SECONDS = 30.0
MIGRATIONS = Path(__file__).parent.parent / "infra" / "migrations"
REPLICATION = 1  # one broker; a cluster of brokers declares its topics with 3


def deploy_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing and mend settings that differ; return what was changed.

    A topic that exists keeps its partitions: adding some would part a study's events. `differences` names them.
    """
    client = admin(settings)
    with translated("topics"):
        existing = client.list_topics(timeout=CALL_SECONDS).topics
        missing = [topic for topic in TOPICS if topic.name not in existing]
        if missing:
            _create(client, missing)
    kept = [topic for topic in TOPICS if topic.name in existing]
    return [f"created {topic.name}" for topic in missing] + _mend(client, kept)


def differences(settings: Settings) -> list[str]:
    """Compare the table with the broker: one line a difference, none when they agree."""
    client = admin(settings)
    with translated("topics"):
        existing = client.list_topics(timeout=CALL_SECONDS).topics
        absent = [f"{topic.name}: missing" for topic in TOPICS if topic.name not in existing]
        present = [topic for topic in TOPICS if topic.name in existing]
        counts = [
            f"{topic.name}: {len(existing[topic.name].partitions)} partitions, declared {topic.partitions}"
            for topic in present
            if len(existing[topic.name].partitions) != topic.partitions
        ]
        settings_apart = [
            f"{topic.name}: {name} is {actual}, declared {declared}"
            for topic in present
            for name, (actual, declared) in _config_apart(client, topic).items()
        ]
    return absent + counts + settings_apart


def groups_of(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the groups that read live lanes, and what each reads."""
    model = settings.model_dir.parent.name
    return {
        f"inference.{model}.{Lane.STAT}": (RECEIVED_STAT,),
        f"inference.{model}.{Lane.ROUTINE}": (RECEIVED_ROUTINE,),
        "sink.postgres": (COMPLETED,),
    }


def deploy_offsets(settings: Settings, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Give each partition that a group has no offset for its earliest one; return the groups that were set.

    Live lanes run with `auto.offset.reset=error`: where a new group begins is decided here, on purpose.
    A group that has offsets keeps them, whether it runs or not.
    """
    return [group for group, topics in groups.items() if _set_new_offsets(settings, group, topics)]


# A new broker elects its groups' coordinators at the first question, and refuses until it has.
@stamina.retry(on=KafkaDown, attempts=None, timeout=OFFSETS_SECONDS, wait_initial=0.1, wait_max=1.0)
def _set_new_offsets(settings: Settings, group: str, topics: Sequence[str]) -> bool:
    return KafkaBroker(settings).begin_group(group, topics)


def deploy_database(settings: Settings) -> None:
    """Make the database where it is missing and bring its tables to the newest revision (Alembic)."""
    from alembic import command  # noqa: PLC0415 - half a second that the other steps need not wait for
    from alembic.config import Config  # noqa: PLC0415

    with translated_postgres(), closing(psycopg2.connect(settings.postgres_url, dbname="postgres")) as server:
        server.autocommit = True  # CREATE DATABASE runs in no transaction
        with server.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {DATABASE}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = settings.postgres_url
    with translated_postgres():
        command.upgrade(config, "head")


def deploy_bucket(settings: Settings) -> None:
    """Make the bucket."""
    s3_objects(settings).ensure_bucket()


def deploy_log(settings: Settings) -> None:
    """Create the topics, then give new groups their place in them."""
    deploy_topics(settings)
    deploy_offsets(settings, groups_of(settings))


#: What each server is given, by the server's name in `status`.
STEPS: Mapping[str, Callable[[Settings], object]] = {
    "kafka": deploy_log,
    "registry": lambda settings: deploy_schemas(settings.schema_registry_url),
    "postgres": deploy_database,
    "object_store": deploy_bucket,
}
#: What is deployed when every server has been: the first champion's record needs the topic and its schema.
MODELS = "models"


def deploy(settings: Settings, servers: Sequence[str] = (*STEPS, MODELS)) -> None:
    """Run the steps of these servers, side by side, and the models' last. Every step can be repeated."""
    steps = [STEPS[server] for server in servers if server in STEPS]
    if steps:
        with ThreadPoolExecutor(len(steps)) as pool:
            for future in [pool.submit(step, settings) for step in steps]:
                future.result()
    if MODELS in servers:
        deploy_first(settings)


def _new(topic: Topic) -> NewTopic:
    return NewTopic(topic.name, topic.partitions, REPLICATION, config=topic.config)


def _create(client: AdminClient, missing: Sequence[Topic]) -> None:
    for name, future in client.create_topics([_new(topic) for topic in missing]).items():
        try:
            future.result(CALL_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # a second deployment beside ours
                raise StackNotReady(f"topic {name} was not created: {error.args[0].str()}") from error


def _mend(client: AdminClient, topics: Sequence[Topic]) -> list[str]:
    """Set what differs from the table."""
    changed = []
    for topic in topics:
        apart = _config_apart(client, topic)
        if not apart:
            continue
        entries = [
            ConfigEntry(name, declared, incremental_operation=AlterConfigOpType.SET)
            for name, (_, declared) in apart.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=entries)
        with translated(topic.name):
            client.incremental_alter_configs([resource])[resource].result(CALL_SECONDS)
        changed += [f"{topic.name}: {name} set to {declared}" for name, (_, declared) in apart.items()]
    return changed


def _config_apart(client: AdminClient, topic: Topic) -> dict[str, tuple[str | None, str]]:
    """Return each declared setting whose value on the broker is another: (actual, declared)."""
    resource = ConfigResource(ResourceType.TOPIC, topic.name)
    with translated(topic.name):
        actual = client.describe_configs([resource])[resource].result(CALL_SECONDS)
    return {
        name: (actual[name].value if name in actual else None, declared)
        for name, declared in topic.config.items()
        if name not in actual or actual[name].value != declared
    }


def main() -> int:
    """Deploy to the servers that the settings name: the one-shot service of the compose file."""
    try:
        deploy(Settings.from_environment())
    except RadStreamError as error:
        print(f"deploy: {error}", file=sys.stderr)  # noqa: T201 - the one line for a person
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
