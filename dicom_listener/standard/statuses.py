"""What a C-STORE is answered, by what became of it."""

from collections.abc import Mapping
from enum import IntEnum, unique

from schemas.errors import (
    BadInstance,
    ClassMismatch,
    MalformedUid,
    RadStreamError,
    SpoolFull,
    UnparsableDataSet,
)


@unique
class StoreStatus(IntEnum):
    """Statuses of a C-STORE response (PS3.4 table B.2-1, PS3.7 9.1.1.1.9 and annex C)."""

    SUCCESS = 0x0000  # PS3.7 C.1.1
    PROCESSING_FAILURE = 0x0110  # PS3.7 C.5.12
    INVALID_SOP_INSTANCE = 0x0117  # PS3.7 C.5.11: the UID violates the construction rules
    SOP_CLASS_NOT_SUPPORTED = 0x0122  # PS3.7 C.5.6
    OUT_OF_RESOURCES = 0xA700  # PS3.4 B.2.3
    DATA_SET_DOES_NOT_MATCH = 0xA900  # PS3.4 B.2.3
    CANNOT_UNDERSTAND = 0xC000  # PS3.4 B.2.3


class ClassNotNegotiated(BadInstance):
    """The command's class is not the one of its presentation context."""

    cause = "class_not_negotiated"


#: PS3.4 B.2.3: what we answer to a C-STORE, by what went wrong.
STATUS_OF: Mapping[type[RadStreamError], StoreStatus] = {
    MalformedUid: StoreStatus.INVALID_SOP_INSTANCE,
    ClassMismatch: StoreStatus.DATA_SET_DOES_NOT_MATCH,
    ClassNotNegotiated: StoreStatus.SOP_CLASS_NOT_SUPPORTED,
    UnparsableDataSet: StoreStatus.CANNOT_UNDERSTAND,
    SpoolFull: StoreStatus.OUT_OF_RESOURCES,
}


def status_of(error: Exception) -> StoreStatus:
    """Give the status for an error: PROCESSING_FAILURE for one that nobody foresaw.

    >>> status_of(SpoolFull("no space")).name
    'OUT_OF_RESOURCES'
    """
    return STATUS_OF.get(type(error), StoreStatus.PROCESSING_FAILURE)  # type: ignore[arg-type]
