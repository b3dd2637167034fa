"""The vault opens only with its key, at its place, unharmed."""

import pytest

from radstream.journal.vault import Vault
from schemas.errors import BadMessage

VAULT = Vault(b"v" * 32)


def test_values_come_back() -> None:
    """What was sealed is opened whole, and the seal shows nothing of it."""
    sealed = VAULT.seal({"PatientID": "0815"}, "row 1")

    assert VAULT.open(sealed, "row 1") == {"PatientID": "0815"}
    assert b"0815" not in sealed


def test_same_value_never_seals_alike() -> None:
    """Two patients with one value can't be told to have it."""
    assert VAULT.seal({"a": "b"}, "x") != VAULT.seal({"a": "b"}, "x")


@pytest.mark.parametrize(
    ("key", "place", "cut"), [(b"w" * 32, "row 1", 0), (b"v" * 32, "row 2", 0), (b"v" * 32, "row 1", 1)]
)
def test_other_key_place_or_bytes_do_not_open(key: bytes, place: str, cut: int) -> None:
    """A seal that was moved, spoiled or made with another key is refused in words."""
    sealed = VAULT.seal({"a": "b"}, "row 1")

    with pytest.raises(BadMessage, match="RADSTREAM_VAULT_KEY"):
        Vault(key).open(sealed[: len(sealed) - cut], place)
