"""Many images in one transaction of the journal: decided as if they had come one by one."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import pytest

from radstream.journal.journal import pseudonyms_of
from radstream.journal.registration import Arrival, Place
from radstream.journal.vault import Vault
from radstream.journal.writer import Journal
from radstream.postgres import connect
from radstream.settings import Settings
from schemas.identity import object_key
from schemas.words import Lane

pytestmark = pytest.mark.stack

PLACE = Place(topic="t", partition=0, end_offset=7)


def _place_of(_lane: Lane, _study_pseudonym: str) -> Place:
    return PLACE


def _arrival(study: str, instance: str, **more: object) -> Arrival:
    sha256 = uuid4().hex * 2
    arrival = Arrival(
        identifiers={"sop_instance_uid": instance, "study_instance_uid": study, "patient_id": "P1"},
        calling_ae="CT1",
        site="north",
        lane=Lane.ROUTINE,
        sha256=sha256,
        object_key=object_key(sha256),
        size_bytes=3,
        received_at=datetime.now(UTC),
    )
    return replace(arrival, **more)  # type: ignore[arg-type]


@pytest.fixture
def journal(stack: Settings) -> Journal:
    """Give a journal of a slot of its own."""
    vault = Vault(stack.require_vault_key())
    return Journal(partial(connect, stack), vault, pseudonyms_of(stack), "test-registration")


def _uid() -> str:
    return f"1.2.{uuid4().int}"


def test_a_batch_is_decided_in_its_order(journal: Journal) -> None:
    """A repeat is the same row, other bytes are the next revision, and a study is STAT from its first STAT image on."""
    study, instance = _uid(), _uid()
    first = _arrival(study, instance)
    other = {**first.identifiers, "patient_id": "P2"}
    stat, after = _arrival(study, _uid(), lane=Lane.STAT), _arrival(study, _uid())

    rows, taken = journal.register([first, first, _arrival(study, instance, identifiers=other), stat, after], _place_of)

    assert rows[0] == rows[1]
    assert taken == {row.event_id for row in rows}
    assert [row.revision for row in rows] == [1, 1, 2, 1, 1]
    assert (rows[2].supersedes, rows[2].identity_changed) == (rows[0].event_id, True)
    assert [row.lane for row in rows] == [Lane.ROUTINE] * 3 + [Lane.STAT] * 2


def test_the_next_batch_goes_on_where_the_last_one_ended(journal: Journal) -> None:
    """Rows, revisions and lanes are read back; the same patient is no change of identity."""
    study, instance = _uid(), _uid()
    first, stat = _arrival(study, instance), _arrival(study, _uid(), lane=Lane.STAT)
    before, _ = journal.register([first, stat], _place_of)

    rows, taken = journal.register([first, _arrival(study, instance), _arrival(study, _uid())], _place_of)

    assert rows[0] == before[0]
    assert taken == {row.event_id for row in rows[1:]}
    assert (rows[1].revision, rows[1].supersedes, rows[1].identity_changed) == (2, before[0].event_id, False)
    assert [row.lane for row in rows] == [Lane.ROUTINE, Lane.STAT, Lane.STAT]


def test_a_new_event_is_taken_at_its_registration_and_noted_with_the_next(journal: Journal, stack: Settings) -> None:
    """Nobody else gets its lock until it is noted, in the round trip that registers the next; then it is certain."""
    other = Journal(partial(connect, stack), Vault(stack.require_vault_key()), pseudonyms_of(stack), "test-other")
    one = _arrival(_uid(), _uid())

    _, first = journal.register([one], _place_of)
    (event,) = first
    assert other.register([one], _place_of)[1] == set()
    assert other.take({event: PLACE}, {}) == set()
    assert other.claim([event])[0] == set()
    _, second = journal.register([_arrival(_uid(), _uid())], _place_of, {event: datetime.now(UTC)})

    assert other.claim([event, *second])[:2] == ({event}, {event})


def test_what_was_taken_and_given_up_is_in_doubt(journal: Journal) -> None:
    """Where it was about to stand was noted before anything was written: who takes it next reads the log from there."""
    (event,) = journal.register([_arrival(_uid(), _uid())], _place_of)[1]
    journal.unlock()

    locked, certain, (doubt,) = journal.claim([event])

    assert (locked, certain) == ({event}, set())
    assert (doubt.event_id, doubt.slot, doubt.place) == (event, journal.slot, PLACE)
