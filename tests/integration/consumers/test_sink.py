"""The sink: every visible result is a row, once, whatever is away or repeated."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from radstream.broker.contract import Outgoing
from radstream.broker.kafka import admin
from radstream.postgres import connect
from radstream.recent import Recent
from radstream.results import results
from radstream.settings import Settings
from radstream.stack.probes import health
from schemas.inference_completed import InferenceCompleted
from schemas.topics import COMPLETED, STUDY_PARTITIONS
from tests.integration.consumers.conftest import Made
from tests.proxy import wire_to
from tests.publishing import Sender
from tests.running import Service, until
from tests.unit.schemas.samples import SAMPLES

pytestmark = pytest.mark.stack

Start = Callable[..., Service]
GROUP = "sink.postgres"
SAMPLE = SAMPLES[COMPLETED]


def result(**changed: object) -> InferenceCompleted:
    """Make a result of its own."""
    assert isinstance(SAMPLE, InferenceCompleted)
    own = {"result_id": uuid4(), "event_id": uuid4(), "study_pseudonym": f"2.25.{uuid4().int}"}
    return replace(SAMPLE, completed_at=datetime.now(UTC), **{**own, **changed})  # type: ignore[arg-type]


def publish(sender: Sender, *made: InferenceCompleted) -> None:
    """Write results as inference would."""
    sender.publish_records(
        [
            Outgoing(topic=COMPLETED, key=one.study_pseudonym.encode(), value=sender.codec.encode(COMPLETED, one))
            for one in made
        ]
    )


def revisions(settings: Settings, *ids: UUID) -> dict[UUID, int]:
    """Read the revisions of rows."""
    with closing(connect(settings)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT result_id::text, result_revision FROM inference_results WHERE result_id = ANY(%s::uuid[])",
            ([str(one) for one in ids],),
        )
        return {UUID(one): revision for one, revision in cursor.fetchall()}


def test_a_result_becomes_a_row_of_the_view(service: Start, stack: Settings, sender: Sender) -> None:
    """With the columns of INTERFACE.md, under pseudonyms where the journal doesn't know the image."""
    service("sink")
    sent = result()

    publish(sender, sent)

    until(lambda: sent.result_id in revisions(stack, sent.result_id))
    (shown,) = results(stack, study=sent.study_pseudonym)
    assert (shown.result_id, shown.pseudonymous, shown.sop_instance_uid) == (
        sent.result_id,
        True,
        sent.instance_pseudonym,
    )
    assert (shown.probabilities, shown.threshold, shown.lane) == (sent.probabilities, sent.threshold, sent.lane)
    assert shown.latency_ms == pytest.approx((sent.completed_at - sent.received_at).total_seconds() * 1000)
    assert shown.as_json()["completed_at"].endswith("Z")


def test_the_highest_revision_is_visible_in_any_order(service: Start, stack: Settings, sender: Sender) -> None:
    """A late first revision doesn't hide the second."""
    service("sink")
    first = result()
    second = replace(first, result_revision=2, finding="PNEUMONIA")
    marker = result(study_pseudonym=first.study_pseudonym)

    publish(sender, second)
    until(lambda: second.result_id in revisions(stack, second.result_id))
    publish(sender, first, marker)

    until(lambda: marker.result_id in revisions(stack, marker.result_id))
    assert revisions(stack, first.result_id) == {first.result_id: 2}


def test_a_recalled_result_leaves_the_view(service: Start, stack: Settings, sender: Sender) -> None:
    """The successor names the one that it supersedes."""
    service("sink")
    recalled = result()
    successor = result(study_pseudonym=recalled.study_pseudonym, supersedes=recalled.result_id)

    publish(sender, recalled, successor)

    until(lambda: successor.result_id in revisions(stack, successor.result_id))
    assert [one.result_id for one in results(stack, study=recalled.study_pseudonym)] == [successor.result_id]


def test_a_version_that_was_recalled_may_come_back(service: Start, stack: Settings, sender: Sender) -> None:
    """Of two results that name each other the later revision is visible."""
    service("sink")
    first = result()
    second = result(study_pseudonym=first.study_pseudonym, supersedes=first.result_id, result_revision=2)
    again = replace(first, supersedes=second.result_id, result_revision=3)

    publish(sender, first, second, again)

    until(lambda: revisions(stack, again.result_id) == {again.result_id: 3})
    assert [one.result_id for one in results(stack, study=first.study_pseudonym)] == [first.result_id]


def test_reading_the_log_again_changes_nothing(service: Start, stack: Settings, sender: Sender) -> None:
    """The group set back to the beginning writes the same rows."""
    sink = service("sink")
    sent = [result() for _ in range(50)]
    ids = [one.result_id for one in sent]
    publish(sender, *sent)
    until(lambda: len(revisions(stack, *ids)) == 50)
    before = stored_at(stack, *ids)
    sink.stop()

    rewind(stack)
    sink.start()
    marker = result()
    publish(sender, marker)

    until(lambda: marker.result_id in revisions(stack, marker.result_id))
    assert stored_at(stack, *ids) == before


def stored_at(settings: Settings, *ids: UUID) -> list[tuple[str, datetime]]:
    """Read when each row was last written."""
    with closing(connect(settings)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT result_id::text, stored_at FROM inference_results WHERE result_id = ANY(%s::uuid[]) ORDER BY 1",
            ([str(one) for one in ids],),
        )
        return cursor.fetchall()


def rewind(settings: Settings) -> None:
    """Set the group back to the log's beginning."""
    client = admin(settings)
    offsets = [TopicPartition(COMPLETED, number, 0) for number in range(STUDY_PARTITIONS)]

    def done() -> bool:
        try:
            client.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP, offsets)])[GROUP].result(10)
        except Exception as error:  # noqa: BLE001 - the broker still counts the stopped member in
            return not error
        return True

    until(done, 20, "the group could not be set back")


def test_postgres_away_holds_the_sink_and_loses_nothing(service: Start, stack: Settings, sender: Sender) -> None:
    """Not ready, no dead letter; when it is back the rows come."""
    port = int(stack.postgres_url.rpartition(":")[2].partition("/")[0])
    with wire_to(port) as wire:
        sink = service("sink", RADSTREAM_POSTGRES_URL=stack.postgres_url.replace(f":{port}/", f":{wire.port}/"))
        wire.cut()
        sent = [result() for _ in range(20)]
        ids = [one.result_id for one in sent]
        publish(sender, *sent)
        until(lambda: "postgres_down" in waits_for(sink), 30, "the sink was not held")
        assert revisions(stack, *ids) == {}

        wire.mend()

        until(lambda: len(revisions(stack, *ids)) == 20)
        until(lambda: waits_for(sink) == "", 10, "not ready again")


def waits_for(service: Service) -> str:
    """Read what a service waits for; empty when it is ready."""
    return str(health(service.metrics_port) or "")


def test_redis_may_be_lost_at_any_time(service: Start, stack: Settings, sender: Sender) -> None:
    """The rows come without it, and when it is back the newest results are there."""
    port = int(stack.redis_url.rpartition(":")[2].partition("/")[0])
    with wire_to(port) as wire:
        sink = service("sink", RADSTREAM_REDIS_URL=stack.redis_url.replace(f":{port}/", f":{wire.port}/"))
        wire.cut()
        lost = result()
        publish(sender, lost)
        until(lambda: lost.result_id in revisions(stack, lost.result_id), 20, "Redis held the sink")
        assert waits_for(sink) == ""

        wire.mend()

        def seen() -> bool:
            kept = result()
            publish(sender, kept)
            until(lambda: kept.result_id in revisions(stack, kept.result_id))
            return str(kept.result_id) in {one["result_id"] for one in Recent(stack).newest(5)}

        until(seen, 20, "nothing recent in Redis")


def test_a_record_that_can_not_be_read_is_dead_lettered_and_passed(
    service: Start, stack: Settings, sender: Sender, made: Made
) -> None:
    """Sealed, with the sink's name; the rows behind it come."""
    service("sink")
    sent = result()

    sender.publish_bytes(COMPLETED, sent.study_pseudonym.encode(), b"DOE^JANE is no Avro")
    publish(sender, sent)

    until(lambda: sent.result_id in revisions(stack, sent.result_id))
    until(lambda: bool(made.letters([None])), 20)
    (letter,) = made.letters([None])
    assert (letter.group, letter.cause, letter.encrypted) == (GROUP, "undecodable_message", True)


def test_killed_in_mid_stream_every_result_is_a_row(service: Start, stack: Settings, sender: Sender) -> None:
    """Kill -9 between the database's commit and the offsets' repeats rows that are there already."""
    sink = service("sink")
    sent = [result() for _ in range(3000)]
    ids = [one.result_id for one in sent]
    before = sink.pid
    publish(sender, *sent)
    until(lambda: bool(revisions(stack, *ids)))

    sink.kill9()
    stored = len(revisions(stack, *ids))
    sink.restart()

    until(lambda: len(revisions(stack, *ids)) == len(sent), 60, "rows are missing")
    assert stored < len(sent)
    assert sink.pid != before
