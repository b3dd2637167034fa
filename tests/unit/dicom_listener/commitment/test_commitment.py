"""What is asked, decided and reported, without a peer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset

from dicom_listener.commitment.parts import commitment_parts
from dicom_listener.commitment.verdicts import Archive, Standing, decide
from dicom_listener.commitment.words import (
    CommitmentRequest,
    EventType,
    FailureReason,
    NoRequest,
    Reference,
    Verdicts,
    read_request,
    report_of,
)
from radstream.journal.vault import Vault
from radstream.objects.stores import MemoryObjects
from radstream.settings import Settings
from schemas.errors import SettingInvalid
from schemas.identity import Pseudonyms

if TYPE_CHECKING:
    from radstream.postgres import Transactions

ONE, TWO = Reference("1.2.3", "1.2.3.1"), Reference("1.2.3", "1.2.3.2")
HELD = Standing(held=True, sop_class_uids=frozenset({"1.2.3"}))


@pytest.mark.parametrize(
    ("standing", "verdict"),
    [
        (HELD, None),
        (Standing(sop_class_uids=frozenset({"1.2.3"})), FailureReason.PROCESSING_FAILURE),
        (Standing(), FailureReason.NO_SUCH_INSTANCE),
        (Standing(held=True, sop_class_uids=frozenset({"1.2.4"})), FailureReason.CLASS_INSTANCE_CONFLICT),
        (Standing(held=True, sop_class_uids=frozenset({""})), FailureReason.CLASS_INSTANCE_CONFLICT),
        (Standing(waiting=True, held=True, sop_class_uids=frozenset({"1.2.3"})), FailureReason.PROCESSING_FAILURE),
    ],
)
def test_only_what_is_certain_is_committed(standing: Standing, verdict: FailureReason | None) -> None:
    """Held whole, under the same class, and nothing of it on its way: everything else fails."""
    assert decide(ONE, standing) is verdict


class _NoRows:
    """A journal that has not heard of the image yet."""

    @contextmanager
    def begin(self) -> Iterator["_NoRows"]:
        yield self

    def execute(self, *_: object) -> None: ...

    def fetchall(self) -> list[object]:
        return []


@pytest.mark.parametrize(
    ("spooled", "expired", "verdicts"),
    [
        (frozenset({ONE.sop_instance_uid}), False, None),
        (frozenset({ONE.sop_instance_uid}), True, {ONE: FailureReason.PROCESSING_FAILURE}),
        (frozenset(), False, {ONE: FailureReason.NO_SUCH_INSTANCE}),
    ],
)
def test_what_is_in_the_spool_alone_is_not_unknown(
    spooled: frozenset[str], verdicts: Verdicts | None, *, expired: bool
) -> None:
    """An image that the journal has not seen yet is waited for, and never committed."""
    journal = cast("Transactions", _NoRows())
    archive = Archive(journal, Vault(bytes(32)), [Pseudonyms(bytes(32), "1")], MemoryObjects(), lambda: spooled)

    assert archive.verdicts(CommitmentRequest("AE", "1.2", (ONE,)), expired=expired) == verdicts


def test_a_report_tells_what_is_committed_from_what_failed() -> None:
    """Event 2 carries both sequences, event 1 the committed alone."""
    request = CommitmentRequest("AE", "1.2", (ONE, TWO))

    event, report = report_of(request, {ONE: None, TWO: FailureReason.NO_SUCH_INSTANCE})
    whole, all_of_it = report_of(request, {ONE: None, TWO: None})

    assert (event, whole) == (EventType.SOME_FAILED, EventType.ALL_COMMITTED)
    assert [item.ReferencedSOPInstanceUID for item in report.ReferencedSOPSequence] == ["1.2.3.1"]
    assert [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in report.FailedSOPSequence] == [
        ("1.2.3.2", 0x0112)
    ]
    assert "FailedSOPSequence" not in all_of_it


def test_an_instance_that_is_named_twice_is_reported_once() -> None:
    """The same pair again adds nothing."""
    assert read_request(_information("1.2", ONE, TWO, ONE), "AE").references == (ONE, TWO)


@pytest.mark.parametrize("transaction", ["", "1..2", "../1", "1." * 40])
def test_a_malformed_transaction_is_no_request(transaction: str) -> None:
    """A UID that PS3.5 9.1 does not allow is refused."""
    with pytest.raises(NoRequest):
        read_request(_information(transaction, ONE), "AE")


def test_a_request_shows_no_identifiers() -> None:
    """UIDs are patient data: they stand in no representation."""
    assert "1.2.3.1" not in repr(CommitmentRequest("AE", "1.2", (ONE,)))


def test_an_archive_needs_a_store_that_is_declared_durable(tmp_path: Path) -> None:
    """Commitments over a store that may forget are a wrong setting, which names the other one."""
    settings = Settings.from_environment({"RADSTREAM_STATE_DIR": str(tmp_path), "RADSTREAM_COMMITMENT": "archive"})

    with pytest.raises(SettingInvalid, match="RADSTREAM_S3_DURABLE"):
        commitment_parts(settings, Vault(bytes(32)), [Pseudonyms(bytes(32), "1")], MemoryObjects())


def _information(transaction: str, *references: Reference) -> Dataset:
    information = Dataset()
    with disable_value_validation():
        information.TransactionUID = transaction
    items = []
    for one in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
        items.append(item)
    information.ReferencedSOPSequence = items
    return information
