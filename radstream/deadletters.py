"""Dead letters: list them, read one, send the originals again, and close a breaker."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from uuid import UUID

from radstream.broker.contract import Message, Outgoing
from radstream.broker.kafka_broker import KafkaBroker
from radstream.broker.topic_reader import read_to_end
from radstream.deployments.revisions import next_revisions, visible_results
from radstream.journal.vault import Vault
from radstream.postgres import connect, translated
from radstream.registry import RegistryIds
from radstream.settings import Settings
from schemas.codec import Codec
from schemas.errors import BadMessage, NoSuchLetter
from schemas.message_dead_lettered import MessageDeadLettered
from schemas.topics import DEAD_LETTERED


def letters(settings: Settings, *, cause: str | None = None) -> list[MessageDeadLettered]:
    """Give all dead letters that are kept, oldest first, each id once; raise KafkaDown, RegistryDown.

    A replay that fails again makes a letter of its own: it stands at another offset.
    """
    found: dict[UUID, MessageDeadLettered] = {}
    for one, _ in _all(settings):
        found.setdefault(one.id, one)
    return sorted(
        (one for one in found.values() if cause in {None, one.cause}), key=lambda one: (one.first_seen, one.id)
    )


def letter(settings: Settings, letter_id: UUID) -> MessageDeadLettered:
    """Give one dead letter, `original` decrypted where the vault's key is there; raise NoSuchLetter."""
    for one, _ in _all(settings):
        if one.id == letter_id:
            return _opened(settings, one)
    raise NoSuchLetter(f"no dead letter has the id {letter_id}: `radstream dlq list` shows those that are kept")


def replay(settings: Settings, ids: Collection[UUID] = (), *, cause: str | None = None) -> list[MessageDeadLettered]:
    """Send originals again, for the group alone that gave them up (header `replay-for`); give what was sent.

    With neither ids nor a cause nothing is sent. The event keeps its id; its result gets a higher `result_revision`
    than the visible one, and than any that was asked for before. An event that was given up several times by a group is
    sent once, for its newest letter. Raises NoSuchLetter (then nothing is sent), BadMessage (no key opens an original),
    KafkaDown, PostgresDown.
    """
    found = {one.id: (one, at) for one, at in _all(settings) if one.id in ids or (cause and one.cause == cause)}
    if missing := sorted(str(one) for one in set(ids) - found.keys()):
        raise NoSuchLetter(f"no dead letter has the id {missing[0]}: nothing was sent")
    chosen = once_an_event(found.values())
    opened = [(_opened(settings, one), at) for one, at in chosen]
    if sealed := [one for one, _ in opened if one.encrypted]:
        raise BadMessage(f"dead letter {sealed[0].id} is sealed: set RADSTREAM_VAULT_KEY to replay it")
    events = {one.event_id for one, _ in chosen if one.event_id is not None}
    revisions, visible = next_revisions(settings, events), visible_results(settings, events)
    codec = Codec(RegistryIds(settings.schema_registry_url))
    KafkaBroker(settings).writer().write(
        [_again(one, at, codec, revisions, visible.get((one.event_id, one.group))) for one, at in opened]
    )
    return [one for one, _ in chosen]


def resume(settings: Settings, group: str) -> bool:
    """Close a group's breaker; say whether it was open. Raises PostgresDown."""
    with translated(), closing(connect(settings)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE breakers SET closed_at = now() WHERE consumer_group = %s AND closed_at IS NULL", (group,)
        )
        return cursor.rowcount > 0


def once_an_event(
    found: Iterable[tuple[MessageDeadLettered, Message]],
) -> list[tuple[MessageDeadLettered, Message]]:
    """Keep the newest letter of each group and event; those that name no event are all kept.

    Two records of one event would be two results of one id and revision.
    """
    newest: dict[object, tuple[MessageDeadLettered, Message]] = {}
    for one, at in sorted(found, key=lambda pair: pair[0].first_seen):
        newest[one.id if one.event_id is None else (one.group, one.event_id)] = one, at
    return list(newest.values())


def _all(settings: Settings) -> Iterator[tuple[MessageDeadLettered, Message]]:
    codec = Codec(RegistryIds(settings.schema_registry_url))
    for message in read_to_end(settings, DEAD_LETTERED):
        found = codec.decode(message.value)
        if isinstance(found, MessageDeadLettered):
            yield found, message


def _opened(settings: Settings, one: MessageDeadLettered) -> MessageDeadLettered:
    if not one.encrypted or settings.vault_key is None:
        return one
    plain = Vault(settings.vault_key).open_bytes(one.original, str(one.id))
    return replace(one, original=plain, encrypted=False)


def _again(
    one: MessageDeadLettered, at: Message, codec: Codec, revisions: dict[UUID, int], visible: UUID | None
) -> Outgoing:
    """Make the record that asks the group to try the same message once more, in the place of what is visible."""
    revision = 1 if one.event_id is None else revisions[one.event_id]
    trace = {name: value for name, value in at.headers.items() if name in {"event-time", "traceparent"}}
    return Outgoing(
        topic=one.source_topic,
        key=_key(one, codec),
        value=one.original,
        headers={
            **trace,
            "replay-for": one.group.encode(),
            "replay-revision": str(revision).encode(),
            **({} if visible is None else {"replay-supersedes": str(visible).encode()}),
        },
        partition=one.partition,
    )


def _key(one: MessageDeadLettered, codec: Codec) -> bytes | None:
    """Give the study's pseudonym, which is the key of events and results alike; none for what can't be decoded."""
    if one.event_id is None:
        return None
    found = codec.decode(one.original)
    return found.study_pseudonym.encode() if hasattr(found, "study_pseudonym") else None
