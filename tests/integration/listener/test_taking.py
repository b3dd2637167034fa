"""What a writer took when it registered it, and what became of the journal since."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import pytest
from pydicom.uid import generate_uid

from dicom_listener.crash_points import Step
from dicom_listener.forwarding.fences import Fences
from dicom_listener.forwarding.identify import arrival_of, event_of
from dicom_listener.forwarding.publisher import Publisher
from dicom_listener.standard.header import Header
from radstream.crash_points import CrashPoints
from radstream.journal.journal import pseudonyms_of
from radstream.journal.vault import Vault
from radstream.journal.writer import Journal
from radstream.postgres import connect
from radstream.registry import RegistryIds
from radstream.settings import Settings
from radstream.spool.entry import Note
from schemas.codec import Codec
from schemas.errors import PostgresDown
from tests.notes import NOTE

pytestmark = pytest.mark.stack

_LONG_SECONDS = 60.0


def _note() -> Note:
    return replace(
        NOTE,
        sop_instance_uid=generate_uid(),
        received_at=datetime.now(UTC),
        sha256=uuid4().hex * 2,
        data_set_offset=1,
    )


def _publisher(stack: Settings, writer: str, clock: Callable[[], float]) -> tuple[Publisher, Journal]:
    slot = f"{writer}-{uuid4().hex[:8]}"
    journal = Journal(partial(connect, stack, slot), Vault(stack.require_vault_key()), pseudonyms_of(stack), slot)
    codec = Codec(RegistryIds(stack.schema_registry_url))
    return Publisher(stack, codec, journal, Fences(stack), CrashPoints(Step, ""), clock=clock), journal


def test_what_was_taken_long_ago_is_not_written_when_another_wrote_it(stack: Settings) -> None:
    """A writer whose put takes long loses its lock when the journal restarts: another may have settled its doubt."""
    now = [0.0]
    slow, slow_journal = _publisher(stack, "slow", lambda: now[0])
    other, _ = _publisher(stack, "other", lambda: now[0])
    note, header = _note(), Header({"study_instance_uid": generate_uid()})
    (row,) = slow.register([arrival_of(note, header)])
    event = event_of(row, note, header, pseudonyms_of(stack)[0], stack.s3_bucket)
    slow_journal.unlock()
    with connect(stack) as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE journal SET publishing_at = now() - %s * interval '1 second' WHERE event_id = %s",
            (_LONG_SECONDS, str(row.event_id)),
        )

    other.register([arrival_of(note, header)])
    theirs = other.publish({row.event_id: event}, {})
    other.note()
    now[0] = _LONG_SECONDS
    ours = slow.publish({row.event_id: event}, {})
    slow.note()

    assert theirs.new == ours.in_log == {row.event_id}
    assert ours.new == frozenset()


def test_a_new_event_is_written_without_asking_the_journal_again(stack: Settings) -> None:
    """It was taken at its registration: a journal that goes away then holds nothing up; a repeat finds the event."""
    publisher, journal = _publisher(stack, "one", lambda: 0.0)
    note, header = _note(), Header({"study_instance_uid": generate_uid()})
    (row,) = publisher.register([arrival_of(note, header)])
    event = event_of(row, note, header, pseudonyms_of(stack)[0], stack.s3_bucket)
    with connect(stack) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", (journal.slot,)
        )

    first = publisher.publish({row.event_id: event}, {})
    with pytest.raises(PostgresDown):
        publisher.publish({row.event_id: event}, {})
    again = publisher.publish({row.event_id: event}, {})
    publisher.note()

    assert first.new == again.in_log == {row.event_id}
    assert again.new == frozenset()
