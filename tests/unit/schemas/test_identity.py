"""Identities are pure, stable and tell apart what is apart."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from schemas.identity import Pseudonyms, dead_letter_id, event_id, object_key, result_id, window_id

KEY = Pseudonyms(b"k" * 32, "1")


def test_identities_stay_what_they_were() -> None:
    """A change of any of these would give every image a second event and a second result."""
    event = event_id("2.25.1", "ab")

    assert event == UUID("acc26a17-2fb8-5c2d-9fc2-6285ec37240c")
    assert result_id(event, "m", "1", "champion") == UUID("e235e1a5-2231-5ca4-bc74-88e3151d7784")
    assert window_id("m", "1", "all", 300, 0) == UUID("12bdf70d-e723-5f38-a868-55d855d4c045")
    assert dead_letter_id("g", "t", 0, 1) == UUID("fcb934b9-ed8c-52e4-9331-2b5358e82241")
    assert object_key("ab12") == "instances/ab/ab12.dcm"


@given(st.text("0123456789.", min_size=1, max_size=64))
def test_a_pseudonym_is_a_valid_uid(uid: str) -> None:
    """PS3.5 9.1 allows 64 characters, and components without leading zeros."""
    pseudonym = KEY.uid(uid)

    assert len(pseudonym) <= 64
    assert pseudonym.removeprefix("2.25.").isdecimal()


def test_another_key_gives_another_name() -> None:
    """Without the key a pseudonym can't be made again."""
    assert KEY.uid("1.2.3") != Pseudonyms(b"x" * 32, "1").uid("1.2.3")


def test_issuer_and_patient_id_can_not_be_confused() -> None:
    """Two pairs that concatenate to the same text are two patients."""
    assert KEY.patient("A", "B1") != KEY.patient("AB", "1")
    assert KEY.patient("A", "1") != KEY.patient("B", "1")
