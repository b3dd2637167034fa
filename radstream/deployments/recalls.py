"""Recalls: each result that a withdrawn version gave is revised by the version that takes its place (promise 5)."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from radstream.broker.contract import Message, Outgoing
from radstream.broker.kafka_broker import KafkaBroker
from radstream.broker.topic_reader import offsets_since, read_to_end
from radstream.deployments.assignments import Chosen, choose
from radstream.deployments.log import read_history
from radstream.deployments.revisions import next_revisions
from radstream.registry import RegistryIds
from radstream.settings import Settings
from schemas.codec import Codec
from schemas.errors import BadMessage, DeploymentRefused
from schemas.inference_completed import InferenceCompleted
from schemas.instance_received import InstanceReceived
from schemas.model_deployed import ModelDeployed
from schemas.topics import COMPLETED, RECEIVED_OF

#: Clocks of listener, members and commands may differ by as much: a log is read from so much earlier.
_EARLIER = timedelta(minutes=5)
#: Passed on from an event to its replay.
_KEPT_HEADERS = frozenset({"event-time", "traceparent"})


@dataclass(frozen=True, slots=True)
class Recalled:
    """A result of a withdrawn version, who takes its place, and whether its event still stands in the log."""

    result: InferenceCompleted
    by: Chosen
    sent: bool


def recall(settings: Settings, model: str, version: str, *, send: bool = True) -> list[Recalled]:
    """Send the events of a withdrawn version's visible results again, for the version that takes its place.

    1. the version was withdrawn, so it gives no new results
    2. its results that no other has taken the place of, from the log
    3. their events, from the log; what retention has taken is not sent
    4. each again, for the group that answered it, with the version and the result that is replaced

    Without `send` nothing is sent. A second recall finds what is left. Raises DeploymentRefused for a version that may
    still answer, KafkaDown, RegistryDown, PostgresDown.
    """
    past = read_history(settings, model)
    if not past or version not in past[-1].withdrawn:
        raise DeploymentRefused(
            f"{model} {version} is not withdrawn and may give new results: `radstream model rollback {model}` first"
        )
    codec = Codec(RegistryIds(settings.schema_registry_url))
    since = min(one.deployed_at for one in past if version in {one.champion, one.canary}) - _EARLIER
    results = _visible(_results(settings, codec, model, since), version)
    events = dict(_events(settings, codec, results)) if results else {}
    there = [one for one in results if one.event_id in events]
    if send and there:
        revisions = next_revisions(settings, events.keys())
        KafkaBroker(settings).writer().write(
            [_again(events[one.event_id], one, _by(past, one), revisions[one.event_id]) for one in there]
        )
    return [Recalled(one, _by(past, one), one.event_id in events) for one in results]


def _by(past: Sequence[ModelDeployed], result: InferenceCompleted) -> Chosen:
    found = choose(past, result.study_pseudonym, result.received_at)
    assert found is not None  # noqa: S101 - there is a history
    return found


def _results(settings: Settings, codec: Codec, model: str, since: datetime) -> Iterator[InferenceCompleted]:
    for message in read_to_end(settings, COMPLETED, offsets_since(settings, COMPLETED, since)):
        try:
            found = codec.decode(message.value)
        except BadMessage:
            continue
        if isinstance(found, InferenceCompleted) and found.model == model:
            yield found


def _visible(results: Iterator[InferenceCompleted], version: str) -> list[InferenceCompleted]:
    """Give a version's results that nothing has taken the place of."""
    newest: dict[UUID, InferenceCompleted] = {}
    replaced: dict[UUID, int] = {}
    for one in results:
        if one.supersedes is not None:
            replaced[one.supersedes] = max(one.result_revision, replaced.get(one.supersedes, 0))
        if one.model_version == version and (
            one.result_id not in newest or newest[one.result_id].result_revision < one.result_revision
        ):
            newest[one.result_id] = one
    return [one for one in newest.values() if replaced.get(one.result_id, 0) < one.result_revision]


def _events(
    settings: Settings, codec: Codec, results: Collection[InferenceCompleted]
) -> Iterator[tuple[UUID, Message]]:
    wanted = {one.event_id for one in results}
    since = min(one.received_at for one in results) - _EARLIER
    for topic in {RECEIVED_OF[one.lane] for one in results}:
        for message in read_to_end(settings, topic, offsets_since(settings, topic, since)):
            if "replay-for" in message.headers:
                continue
            try:
                found = codec.decode(message.value)
            except BadMessage:
                continue
            if isinstance(found, InstanceReceived) and found.event_id in wanted:
                yield found.event_id, message


def _again(message: Message, result: InferenceCompleted, by: Chosen, revision: int) -> Outgoing:
    """Make the record that asks for the successor's result."""
    asked = {
        "replay-for": f"inference.{result.model}.{result.lane}",
        "replay-revision": str(revision),
        "replay-version": by.version,
        "replay-supersedes": str(result.result_id),
    }
    return Outgoing(
        topic=message.topic,
        key=message.key,
        value=message.value or b"",
        headers={name: value for name, value in message.headers.items() if name in _KEPT_HEADERS}
        | {name: value.encode() for name, value in asked.items()},
        partition=message.partition,
    )
