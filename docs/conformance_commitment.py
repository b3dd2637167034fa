"""Storage commitment's part of the conformance statement."""

import inspect
import re
from collections.abc import Iterable
from enum import IntEnum

from pydicom.uid import UID

from dicom_listener.commitment import reports
from dicom_listener.commitment.words import PUSH_MODEL, ActionStatus, EventType, FailureReason


def commitment() -> dict[str, str]:
    """Give the values that conformance.in.md names."""
    return {
        "push_model": PUSH_MODEL,
        "report_syntaxes": ", ".join(UID(uid).name for uid in reports._SYNTAXES),  # noqa: SLF001
        "all_committed": str(int(EventType.ALL_COMMITTED)),
        "some_failed": str(int(EventType.SOME_FAILED)),
        "action_statuses": _rows(ActionStatus),
        "failure_reasons": _rows(FailureReason),
    }


def _rows(codes: type[IntEnum]) -> str:
    return "\n".join(f"| {name} | {code} | {when} |" for name, code, when in _commented(codes))


def _commented(codes: type[IntEnum]) -> Iterable[tuple[str, str, str]]:
    """Read a table of codes with the comment of each line; raise KeyError for a code without one."""
    said = dict(re.findall(r"^    (\w+) = 0x\w+  # (.+)$", inspect.getsource(codes), flags=re.MULTILINE))
    for code in codes:
        yield code.name.replace("_", " ").lower(), f"0x{code:04X}", said[code.name]
