"""Who an image is: duplicates, revisions, lanes, keys, and what an event may say."""

import hashlib
import json
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict

import pytest

from dicom_listener.standard.command_set import HIGH_PRIORITY
from dicom_listener.standard.statuses import StoreStatus
from radstream.journal.journal import pseudonyms_of
from schemas.identity import data_set_hasher
from schemas.words import Lane
from tests.integration.listener.conftest import Listening
from tests.integration.listener.films import film
from tests.integration.listener.raw_scu import ACCEPT, EXPLICIT, RawScu
from tests.running import until

pytestmark = pytest.mark.stack


def test_the_same_image_sent_twice_is_one_event(shared_listening: Listening) -> None:
    """Same UID, same bytes: Success, nothing new in the log or the journal."""
    one = film()

    assert shared_listening.send(one) == shared_listening.send(one) == StoreStatus.SUCCESS

    assert len(shared_listening.events(one)) == 1
    assert len(shared_listening.rows(one)) == 1


def test_the_same_image_sent_by_four_at_once_is_one_event(shared_listening: Listening) -> None:
    """Only one publishes, all are answered Success."""
    one = film()
    data = one.data()

    with ExitStack() as open_:
        senders = [open_.enter_context(RawScu(shared_listening.port)) for _ in range(4)]
        for scu in senders:
            assert scu.associate().kind == ACCEPT
        for scu in senders:
            scu.command(one.uid)
            scu.data(data)
        statuses = {scu.status() for scu in senders}

    assert statuses == {StoreStatus.SUCCESS}
    assert len(shared_listening.events(one)) == 1


def test_other_bytes_are_a_revision(shared_listening: Listening) -> None:
    """Same UID, other bytes: a new object and event that names the one it supersedes; the patient is the same."""
    first = film()
    second = first.revised(patient_name="Doe^Janet")

    assert shared_listening.send(first) == shared_listening.send(second) == StoreStatus.SUCCESS

    old, new = shared_listening.events(first)
    assert (old.revision, new.revision) == (1, 2)
    assert (old.supersedes, new.supersedes) == (None, old.event_id)
    assert not new.identity_changed
    assert old.object_key != new.object_key
    assert shared_listening.object_of(old).endswith(first.data())


def test_another_patient_under_the_same_uid_is_noted(shared_listening: Listening) -> None:
    """A changed Patient ID sets identity_changed, so that results are held."""
    first = film()

    shared_listening.send(first)
    shared_listening.send(first.revised(patient_id="P2"))

    assert [event.identity_changed for event in shared_listening.events(first)] == [False, True]


def test_the_hash_is_of_the_data_set_as_received(shared_listening: Listening) -> None:
    """SHA-256 of syntax, NUL and data set; the object is a Part 10 file that ends with these bytes."""
    one = film()
    hasher = data_set_hasher(EXPLICIT)
    hasher.update(one.data())

    shared_listening.send(one)

    (event,) = shared_listening.events(one)
    stored = shared_listening.object_of(event)
    assert event.sha256 == hasher.hexdigest()
    assert event.event_id == uuid.UUID(str(event.event_id))
    assert (len(stored), stored[128:132]) == (event.size_bytes, b"DICM")
    assert stored.endswith(one.data())
    assert hashlib.sha256(stored).hexdigest() != event.sha256


@pytest.mark.parametrize(
    ("called_ae", "priority", "more", "lane"),
    [
        ("RADSTREAM", 0, {}, Lane.ROUTINE),
        ("RADSTREAM_STAT", 0, {}, Lane.STAT),
        ("RADSTREAM", HIGH_PRIORITY, {}, Lane.STAT),
        ("RADSTREAM", 0, {"RequestedProcedurePriority": "STAT"}, Lane.STAT),
    ],
)
def test_routes_give_the_lane(
    shared_listening: Listening, called_ae: str, priority: int, more: dict[str, object], lane: Lane
) -> None:
    """Called AE, DIMSE Priority and the data set's own priority each make an image STAT."""
    one = film()

    shared_listening.send(one, one.data(**more), called_ae=called_ae, priority=priority)

    (event,) = shared_listening.events(one)
    assert (event.lane, event.site, event.calling_ae) == (lane, "RAW", "RAW")


def test_a_study_that_is_stat_stays_stat(shared_listening: Listening) -> None:
    """Later images of a STAT study are STAT; what came before does not move, nor does a repeat."""
    before = film()
    stat, after = film(before.study_uid), film(before.study_uid)

    shared_listening.send(before)
    shared_listening.send(stat, called_ae="RADSTREAM_STAT")
    shared_listening.send(after)
    shared_listening.send(before, called_ae="RADSTREAM_STAT")

    lanes = {event.instance_pseudonym: event.lane for event in shared_listening.events(before)}
    uid = pseudonyms_of(shared_listening.settings)[0].uid
    assert lanes == {uid(before.uid): Lane.ROUTINE, uid(stat.uid): Lane.STAT, uid(after.uid): Lane.STAT}


def test_a_study_keeps_its_first_key(listen: Callable[..., Listening]) -> None:
    """After a rotation a study's next image has the old key's pseudonyms; a new study has the new key's."""
    listening = listen()
    first = film()
    listening.send(first)
    (old,) = listening.events(first)
    key = listening.settings.require_pseudonym_key().hex()
    listening.service.stop()

    rotated = listen(
        RADSTREAM_PSEUDONYM_KEY="77" * 32,
        RADSTREAM_PSEUDONYM_KEY_ID="2",
        RADSTREAM_FORMER_PSEUDONYM_KEYS=f"1:{key}",
    )
    rotated.send(film(first.study_uid))
    other = film()
    rotated.send(other)

    _, new = listening.events(first)
    assert (new.study_pseudonym, new.key_id) == (old.study_pseudonym, "1")
    assert not listening.events(other)


def test_events_and_logs_carry_no_patient_data(shared_listening: Listening) -> None:
    """No identifier that was sent stands in the event, in its object's key or in the listener's log."""
    one = film(patient_id="SECRET-17", patient_name="Secretsson^Vera")
    secrets = [one.uid, one.study_uid, "SECRET-17", "Secretsson", "Vera", "SN-17"]

    shared_listening.send(one)

    (event,) = shared_listening.events(one)
    text = json.dumps(asdict(event), default=str) + shared_listening.service.log.read_text()
    assert [secret for secret in secrets if secret in text] == []
    assert (event.age_band, event.sex, event.manufacturer) == ("40-49", "F", "ACME")


def test_the_vault_gives_identifiers_back_to_whoever_has_the_key(shared_listening: Listening) -> None:
    """The journal's reading side opens what the listener sealed; an unknown pseudonym gives nothing."""
    one = film()

    shared_listening.send(one)

    (event,) = shared_listening.events(one)
    opened = shared_listening.journal().identifiers_of([event.instance_pseudonym, "2.25.1"])
    assert list(opened) == [event.instance_pseudonym]
    assert opened[event.instance_pseudonym]["sop_instance_uid"] == one.uid
    assert opened[event.instance_pseudonym]["patient_name"] == one.patient_name


def test_what_was_acknowledged_can_be_reconciled(shared_listening: Listening) -> None:
    """Each acknowledged event counts once for its calling AE, however often it was sent."""
    calling_ae = f"AE{uuid.uuid4().hex[:8]}"
    films = [film(), film()]
    with RawScu(shared_listening.port, calling_ae=calling_ae) as scu:
        scu.associate()
        for one in [*films, films[0]]:
            scu.store(one.data(), one.uid)

    def noted() -> frozenset[uuid.UUID]:
        found = [row for row in shared_listening.journal().acknowledged_since() if row.calling_ae == calling_ae]
        assert all(row.acknowledged == row.published == len(row.event_ids) for row in found)
        return frozenset(event for row in found for event in row.event_ids)

    until(lambda: len(noted()) == len(films), otherwise="the answers were not noted")
    assert noted() == {event.event_id for event in shared_listening.events(*films)}


def test_two_listeners_publish_an_event_once(listen: Callable[..., Listening]) -> None:
    """Slots of their own, one log: the same images sent to both at once are one event each."""
    one, two = listen(), listen(RADSTREAM_LISTENER_SLOT="other")
    films = [film() for _ in range(15)]

    with RawScu(one.port) as first, RawScu(two.port) as second:
        first.associate()
        second.associate()
        for image in films:
            for scu in (first, second):
                scu.command(image.uid)
                scu.data(image.data())
            assert {first.status(), second.status()} == {StoreStatus.SUCCESS}
    one.wait_empty(60)

    events = [event.event_id for event in one.events(*films)]
    assert (len(events), len(set(events))) == (len(films), len(films))
