"""Dead letters: list them, read one, send the originals again, and close a breaker."""

from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import replace
from uuid import UUID

from radstream.broker import Message, Outgoing
from radstream.kafka_broker import KafkaBroker
from radstream.postgres import connect, translated
from radstream.registry import RegistryIds
from radstream.settings import Settings
from radstream.topic_reader import read_to_end
from radstream.vault import Vault
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
    than the visible one. Raises NoSuchLetter (then nothing is sent), BadMessage (no key opens an original), KafkaDown.
    """
    chosen = {one.id: (one, at) for one, at in _all(settings) if one.id in ids or (cause and one.cause == cause)}
    if missing := sorted(str(one) for one in set(ids) - chosen.keys()):
        raise NoSuchLetter(f"no dead letter has the id {missing[0]}: nothing was sent")
    events = [one.event_id for one, _ in chosen.values() if one.event_id is not None]
    revisions = _revisions(settings, events)
    codec = Codec(RegistryIds(settings.schema_registry_url))
    records = [_again(_opened(settings, one), at, codec, revisions) for one, at in chosen.values()]
    KafkaBroker(settings).writer().write(records)
    return [one for one, _ in chosen.values()]


def resume(settings: Settings, group: str) -> bool:
    """Close a group's breaker; say whether it was open. Raises PostgresDown."""
    with translated(), closing(connect(settings)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE breakers SET closed_at = now() WHERE consumer_group = %s AND closed_at IS NULL", (group,)
        )
        return cursor.rowcount > 0


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


def _again(one: MessageDeadLettered, at: Message, codec: Codec, revisions: dict[UUID, int]) -> Outgoing:
    """Make the record that asks the group to try the same message once more."""
    if one.encrypted:
        raise BadMessage(f"dead letter {one.id} is sealed: set RADSTREAM_VAULT_KEY to replay it")
    revision = revisions.get(one.event_id, 0) + 1 if one.event_id is not None else 1
    trace = {name: value for name, value in at.headers.items() if name in {"event-time", "traceparent"}}
    return Outgoing(
        topic=one.source_topic,
        key=_key(one, codec),
        value=one.original,
        headers={**trace, "replay-for": one.group.encode(), "replay-revision": str(revision).encode()},
        partition=one.partition,
    )


def _key(one: MessageDeadLettered, codec: Codec) -> bytes | None:
    """Give the study's pseudonym, which is the key of events and results alike; none for what can't be decoded."""
    if one.event_id is None:
        return None
    found = codec.decode(one.original)
    return found.study_pseudonym.encode() if hasattr(found, "study_pseudonym") else None


def _revisions(settings: Settings, events: Collection[UUID]) -> dict[UUID, int]:
    """Give the highest result revision of each event; 1 where the sink has none yet, for a result was promised."""
    with translated(), closing(connect(settings)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT event_id::text, max(result_revision) FROM inference_results "
            "WHERE event_id = ANY(%s::uuid[]) GROUP BY event_id",
            ([str(one) for one in events],),
        )
        return dict.fromkeys(events, 1) | {UUID(event): int(revision) for event, revision in cursor.fetchall()}
