"""From a header to what the journal and the event say."""

from dataclasses import asdict, replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from dicom_listener.forwarding.identify import age_band, arrival_of, event_of
from dicom_listener.standard.header import Header
from radstream.journal.journal import identity_of
from radstream.journal.registration import Registered
from schemas.identity import Pseudonyms
from schemas.words import Lane
from tests import notes

AT = datetime(2026, 11, 21, 5, tzinfo=UTC)
KEYS = Pseudonyms(b"k" * 32, "1")
NOTE = replace(notes.NOTE, received_at=AT, size_bytes=1000, data_set_offset=300)
ROW = Registered(
    event_id=UUID(int=1),
    instance_pseudonym="2.25.1",
    study_pseudonym="2.25.2",
    patient_pseudonym="cd" * 32,
    key_id="1",
    revision=2,
    supersedes=UUID(int=2),
    identity_changed=True,
    calling_ae="FIRST",
    site="first",
    lane=Lane.STAT,
    received_at=AT,
    state="received",
)
HEADER = Header(
    {
        "sop_instance_uid": "1.2.3",
        "study_instance_uid": "1.2.4",
        "patient_id": "P1",
        "patient_name": "Doe^Jane",
        "patient_age": "103Y",
        "patient_sex": "f",
        "body_part": "chest ",
        "view_position": "pa",
        "manufacturer": " ACME   Corp ",
        "device_serial_number": "SN-17",
        "station_name": "ROOM 4",
        "modality": "DX\\CR",
    }
)


def test_the_first_receipt_fixes_what_an_event_keeps() -> None:
    """Lane, site, sender and time are the row's, whatever a repeat says."""
    event = event_of(ROW, NOTE, HEADER, KEYS, "bucket")

    assert (event.lane, event.site, event.calling_ae, event.received_at) == (Lane.STAT, "first", "FIRST", AT)
    assert (event.revision, event.supersedes, event.identity_changed) == (2, UUID(int=2), True)
    assert event.object_key == f"instances/ab/{'ab' * 32}.dcm"


def test_words_are_made_comparable() -> None:
    """Codes in upper case, one value; free words with single spaces."""
    event = event_of(ROW, NOTE, HEADER, KEYS, "bucket")

    assert (event.modality, event.body_part, event.view_position) == ("DX", "CHEST", "PA")
    assert (event.manufacturer, event.sex, event.age_band) == ("ACME Corp", "F", "90+")
    assert event.model_name is None


def test_a_device_is_hashed_by_its_serial_number_else_its_station() -> None:
    """Neither stands in the event."""
    by_serial = event_of(ROW, NOTE, HEADER, KEYS, "bucket")
    by_station = event_of(ROW, NOTE, Header({"station_name": "ROOM 4"}), KEYS, "bucket")

    assert by_serial.station_hash == KEYS.station("SN-17")
    assert by_station.station_hash == KEYS.station("ROOM 4")
    assert "SN-17" not in str(asdict(by_serial))


def test_identifiers_go_to_the_vault_and_nothing_else_does() -> None:
    """What is sealed is what delivery needs; the rest of the header stays out."""
    arrival = arrival_of(NOTE, HEADER)

    assert arrival.identifiers == {
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1",
        "sop_instance_uid": "1.2.3",
        "study_instance_uid": "1.2.4",
        "patient_id": "P1",
        "patient_name": "Doe^Jane",
        "patient_sex": "f",
    }


def test_an_image_that_nobody_can_read_is_its_own_study() -> None:
    """An unknown syntax has no header: the instance stands for the study."""
    assert arrival_of(NOTE, Header({})).identifiers["study_instance_uid"] == "1.2.3"


@pytest.mark.parametrize(
    ("age", "band"),
    [
        ("000D", "0-9"),
        ("119M", "0-9"),
        ("120M", "10-19"),
        ("089Y", "80-89"),
        ("090Y", "90+"),
        ("47Y", None),
        ("04xY", None),
        ("047Z", None),
        (None, None),
    ],
)
def test_ages_become_bands(age: str | None, band: str | None) -> None:
    """PS3.5 6.2, AS; a wrong one is none."""
    assert age_band(age) == band


@pytest.mark.parametrize(
    ("then", "now", "same"),
    [
        ({"patient_id": "1"}, {"patient_id": "1", "patient_name": "New"}, True),
        ({"patient_id": "1"}, {"patient_id": "2"}, False),
        ({"patient_id": "1", "issuer_of_patient_id": "A"}, {"patient_id": "1", "issuer_of_patient_id": "B"}, False),
        ({"patient_name": "A"}, {"patient_name": "A"}, True),
        ({"patient_name": "A"}, {"patient_name": "B"}, False),
        ({"patient_id": "1", "patient_name": "A"}, {"patient_name": "A"}, False),
    ],
)
def test_who_a_patient_is(then: dict[str, str], now: dict[str, str], *, same: bool) -> None:
    """Issuer and Patient ID; without an ID name and birth date."""
    assert (identity_of(then) == identity_of(now)) is same
