"""Storage commitment's words (PS3.4 annex J): a request, its answer, its report. Pure.

The tables here are what the conformance statement says.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, unique

from pydicom.dataset import Dataset

from dicom_listener.standard.uids import well_formed
from schemas.errors import RadStreamError

PUSH_MODEL = "1.2.840.10008.1.20.1"  # Storage Commitment Push Model SOP Class
WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"  # PS3.4 J.3.5
REQUEST_ACTION = 1  # PS3.4 table J.3-1: Request Storage Commitment


@unique
class ActionStatus(IntEnum):
    """Statuses of an N-ACTION response (PS3.7 10.1.4.1.10 and annex C)."""

    SUCCESS = 0x0000  # the request is in PostgreSQL, and a report will follow
    PROCESSING_FAILURE = 0x0110  # PostgreSQL is away, or the transaction UID is in use for other instances
    NO_SUCH_INSTANCE = 0x0112  # not the well-known instance
    INVALID_ARGUMENT_VALUE = 0x0115  # no transaction UID, no instances, or a malformed UID
    NO_SUCH_CLASS = 0x0118  # not the Push Model
    NO_SUCH_ACTION = 0x0123  # an action type other than 1
    RESOURCE_LIMITATION = 0x0213  # too many of the peer's requests are open


@unique
class FailureReason(IntEnum):
    """Why an instance is not committed (PS3.3 C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110  # we are no archive, or it was not forwarded in time
    NO_SUCH_INSTANCE = 0x0112  # neither the spool nor the journal knows it, or it was purged
    CLASS_INSTANCE_CONFLICT = 0x0119  # we hold it under another SOP class


@unique
class EventType(IntEnum):
    """PS3.4 table J.3-2."""

    ALL_COMMITTED = 1
    SOME_FAILED = 2


class RequestRefused(RadStreamError):
    """A request for storage commitment was not taken; the peer is told by the action's status."""

    cause = "commitment_refused"


class NoRequest(RequestRefused):
    """An action's information is no request for storage commitment."""

    cause = "commitment_malformed"


@dataclass(frozen=True, slots=True)
class Reference:
    """One instance whose commitment is asked for. Patient data."""

    sop_class_uid: str
    sop_instance_uid: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """A transaction: its UID, who asked, for which instances. Patient data."""

    calling_ae: str
    transaction_uid: str = field(repr=False)
    references: tuple[Reference, ...] = field(repr=False)


#: What became of each reference: None is committed.
Verdicts = Mapping[Reference, FailureReason | None]


def read_request(information: Dataset, calling_ae: str) -> CommitmentRequest:
    """Read an action's information (PS3.4 table J.3-1); raise NoRequest."""
    try:
        transaction = str(information.get("TransactionUID") or "")
        items = information.get("ReferencedSOPSequence") or ()
        pairs = [(str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)) for item in items]
    except Exception as error:
        raise NoRequest("the action's information can't be read") from error
    if not pairs or not all(well_formed(uid) for uid in (transaction, *(uid for pair in pairs for uid in pair))):
        raise NoRequest(f"{len(pairs)} instances, or a UID that PS3.5 9.1 does not allow")
    return CommitmentRequest(calling_ae, transaction, tuple(dict.fromkeys(Reference(*pair) for pair in pairs)))


def report_of(request: CommitmentRequest, verdicts: Verdicts) -> tuple[EventType, Dataset]:
    """Give the event and its information (PS3.4 table J.3-2): what is committed, and what is not for which reason."""
    report = Dataset()
    report.TransactionUID = request.transaction_uid
    committed = [one for one in request.references if verdicts[one] is None]
    failed = [(one, reason) for one in request.references if (reason := verdicts[one]) is not None]
    if committed:
        report.ReferencedSOPSequence = [_item(one) for one in committed]
    if not failed:
        return EventType.ALL_COMMITTED, report
    report.FailedSOPSequence = [_item(one, reason) for one, reason in failed]
    return EventType.SOME_FAILED, report


def _item(reference: Reference, reason: FailureReason | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reason is not None:
        item.FailureReason = int(reason)
    return item
