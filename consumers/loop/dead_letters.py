"""What is written for a message that was given up."""

from datetime import datetime
from uuid import UUID

from consumers.loop.headers import onward
from radstream.broker.contract import Message, Outgoing
from radstream.journal.vault import Vault
from schemas.codec import Codec
from schemas.errors import BadMessage, cause_of
from schemas.identity import dead_letter_id
from schemas.message_dead_lettered import MessageDeadLettered
from schemas.topics import DEAD_LETTERED


class DeadLetters:
    """Makes one group's dead letters."""

    def __init__(self, group: str, codec: Codec, vault: Vault) -> None:
        self._group = group
        self._codec = codec
        self._vault = vault

    def record(
        self, message: Message, error: Exception, attempts: int, first_seen: datetime, event_id: UUID | None
    ) -> Outgoing:
        """Make the dead letter of a message. One that could not be decoded may hold anything, so it is sealed."""
        letter_id = dead_letter_id(self._group, message.topic, message.partition, message.offset)
        original = message.value or b""
        sealed = isinstance(error, BadMessage) or event_id is None
        letter = MessageDeadLettered(
            id=letter_id,
            group=self._group,
            source_topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            event_id=event_id,
            cause=cause_of(error),
            attempts=attempts,
            first_seen=first_seen,
            original=self._vault.seal_bytes(original, str(letter_id)) if sealed else original,
            encrypted=sealed,
        )
        return Outgoing(
            topic=DEAD_LETTERED,
            key=str(letter_id).encode(),
            value=self._codec.encode(DEAD_LETTERED, letter),
            headers=onward(message.headers, first_seen),
        )
