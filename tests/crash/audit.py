"""The auditor: what was sent and acknowledged, compared with log, journal, object store and spool.

It trusts nobody: it knows each image's event by the bytes that the sender had, reads both lanes as any consumer does,
and hashes what the store really holds.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from radstream.broker import kafka
from radstream.broker.topic_reader import read_to_end
from radstream.journal.journal import pseudonyms_of
from radstream.objects.stores import s3_objects
from radstream.postgres import connect
from radstream.registry import RegistryIds
from radstream.settings import Settings
from schemas.codec import Codec
from schemas.errors import BadMessage, ObjectMissing
from schemas.identity import data_set_hasher, event_id
from schemas.instance_received import InstanceReceived
from schemas.topics import RECEIVED_ROUTINE, RECEIVED_STAT, STUDY_PARTITIONS

LANES = (RECEIVED_STAT, RECEIVED_ROUTINE)
_READERS = 4
#: A Part 10 file: preamble, DICM, and the element whose value is the length of the file meta after it (PS3.10 7.1).
_META_LENGTH_AT, _META_AT = 140, 144

Place = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What senders know, and what the servers hold of it."""

    sent: Collection[UUID]  # the events that the senders' bytes become, acknowledged or not
    acknowledged: Collection[UUID]
    events: Sequence[UUID]  # of the log, both lanes, committed
    rows: Mapping[UUID, str]  # the journal: state by event
    broken: Collection[UUID]  # events whose object is missing, or has other bytes than were sent

    def breaches(self) -> list[str]:
        """Say what promises 1 and 2 do not allow; nothing where all is well. Call it when nothing is under way."""
        log = set(self.events)
        return [
            *_each("acknowledged, and not in the log", set(self.acknowledged) - log),
            *_each("more than once in the log", {one for one, times in Counter(self.events).items() if times > 1}),
            *_each("in the log, and not whole or never sent", log - set(self.sent)),
            *_each("in the log, and its object is not what was sent", self.broken),
            *_each("in the log, and not in the journal", log - self.rows.keys()),
            *_each("in the journal, and not in the log", self.rows.keys() - log),
            *_each("not acknowledged in the journal", {one for one in self.rows if self.rows[one] != "acknowledged"}),
        ]


class Auditor:
    """Looks at one calling AE's images since it was made."""

    def __init__(self, settings: Settings, calling_ae: str) -> None:
        self._settings = settings
        self._calling_ae = calling_ae
        self._keys = pseudonyms_of(settings)[0]
        self._start = log_ends(settings)

    def event_of(self, sop_instance_uid: str, transfer_syntax_uid: str, data_set: bytes) -> UUID:
        """Name the event that an image becomes."""
        hasher = data_set_hasher(transfer_syntax_uid)
        hasher.update(data_set)
        return event_id(self._keys.uid(sop_instance_uid), hasher.hexdigest())

    def books(self, sent: Collection[UUID], acknowledged: Collection[UUID]) -> Books:
        """Read everything."""
        events = self.events()
        return Books(
            sent=sent,
            acknowledged=acknowledged,
            events=[event.event_id for event in events],
            rows=self._rows(),
            broken=self._broken(events),
        )

    def events(self) -> list[InstanceReceived]:
        """Read this calling AE's events from the log."""
        codec = Codec(RegistryIds(self._settings.schema_registry_url))
        found = []
        for topic in LANES:
            start = {number: self._start[topic, number] for number in range(STUDY_PARTITIONS)}
            for message in read_to_end(self._settings, topic, start):
                try:
                    event = codec.decode(message.value)
                except BadMessage:
                    continue  # another test's
                if event.calling_ae == self._calling_ae:
                    found.append(event)
        return found

    def _rows(self) -> dict[UUID, str]:
        with closing(connect(self._settings)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("SELECT event_id::text, state FROM journal WHERE calling_ae = %s", (self._calling_ae,))
            return {UUID(event): state for event, state in cursor.fetchall()}

    def _broken(self, events: Sequence[InstanceReceived]) -> list[UUID]:
        with ThreadPoolExecutor(_READERS) as pool:
            whole = list(pool.map(self._is_whole, events))
        return [event.event_id for event, good in zip(events, whole, strict=True) if not good]

    def _is_whole(self, event: InstanceReceived) -> bool:
        try:
            part10 = s3_objects(self._settings).get(event.object_key)
        except ObjectMissing:
            return False
        length = int.from_bytes(part10[_META_LENGTH_AT:_META_AT], "little")
        hasher = data_set_hasher(event.transfer_syntax_uid)
        hasher.update(part10[_META_AT + length :])
        return (hasher.hexdigest(), len(part10)) == (event.sha256, event.size_bytes)


def log_ends(settings: Settings) -> dict[Place, int]:
    """Give where both lanes end now, by topic and partition."""
    with closing(kafka.reader(settings)) as client:
        return {
            (topic, number): end
            for topic in LANES
            for number, end in kafka.last_stable_offsets(client, topic, STUDY_PARTITIONS).items()
        }


def unfinished(spool: Path) -> list[Path]:
    """List what a spool holds but forwarded images: arriving, waiting, doubted or torn."""
    return [path for path in spool.rglob("*") if path.suffix in {".part", ".dcm", ".doubt", ".torn"}]


def _each(what: str, events: Collection[UUID]) -> list[str]:
    return [f"{event}: {what}" for event in sorted(events, key=str)]
