"""The DICOM conformance statement: the words of conformance.in.md, the tables of the listener's code."""

import re
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from string import Template

from conformance_commitment import commitment
from conformance_stow import stow
from pydicom.uid import UID
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ, A_RELEASE_RP, A_RELEASE_RQ

from dicom_listener.associations import upper_layer
from dicom_listener.associations.tls import CIPHERS
from dicom_listener.standard.contexts import STANDARD_SYNTAXES, STORAGE_CLASSES
from dicom_listener.standard.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_listener.standard.refusals import BY_CAUSE
from dicom_listener.standard.statuses import STATUS_OF, StoreStatus
from radstream.setting_reader import variable
from radstream.settings import documentation

HERE = Path(__file__).parent
LISTENER = HERE.parent / "dicom_listener"
PDUS = (A_ASSOCIATE_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_RELEASE_RQ, A_RELEASE_RP, A_ABORT_RQ)

#: PS3.7 annex C and PS3.4 table B.2-1: what the standard calls each status.
NAMES: Mapping[StoreStatus, str] = {
    StoreStatus.SUCCESS: "Success",
    StoreStatus.PROCESSING_FAILURE: "Failure: processing failure",
    StoreStatus.INVALID_SOP_INSTANCE: "Failure: invalid SOP instance",
    StoreStatus.SOP_CLASS_NOT_SUPPORTED: "Failure: SOP class not supported",
    StoreStatus.OUT_OF_RESOURCES: "Failure: out of resources",
    StoreStatus.DATA_SET_DOES_NOT_MATCH: "Failure: data set does not match SOP class",
    StoreStatus.CANNOT_UNDERSTAND: "Failure: cannot understand",
}

#: Statuses that no error of ours stands behind.
WITHOUT_ERROR: Mapping[StoreStatus, str] = {
    StoreStatus.SUCCESS: "The object is durable (4.1.2).",
    StoreStatus.PROCESSING_FAILURE: "What nobody foresaw.",
}

#: What each cause of a rejection is to an administrator; a cause without words is a KeyError.
REJECTED_FOR: Mapping[str, str] = {
    "protocol_version": "a protocol version without bit 0",
    "application_context": "an application context that is not DICOM's",
    "calling_ae": "a calling AE title that is not in the list",
    "called_ae": "a called AE title that is neither the AE's nor a route's, where that is checked",
    "certificate": "a certificate that is not in the list (7.1)",
    "user_identity": "a user that is not in the file, or another passcode (7.2; PS3.7 D.3.3.7)",
    "limit": "more associations than allowed",
    "ae_limit": "more associations of this calling AE title than allowed",
    "share": "an association that another calling AE title waits for, or has reserved; this one has its share",
    "congestion": "nobody who could serve it now",
    "stopping": "the AE ends",
}


def page() -> str:
    """Give docs/conformance.md."""
    return Template((HERE / "conformance.in.md").read_text("utf-8")).substitute(_values())


def listener_settings() -> list[tuple[str, str, str]]:
    """List the settings that the listener's code names: variable, default, meaning."""
    code = "".join(path.read_text("utf-8") for path in sorted(LISTENER.rglob("*.py")))
    named = {variable(name) for name in re.findall(r"settings\.([a-z_]+)", code)}
    named |= {"RADSTREAM_SPOOL_DIR"}  # read through Settings.spool
    return [one for one in documentation() if one[0] in named and one[0] != "RADSTREAM_DIE_AT"]


def _values() -> dict[str, str]:
    default = {name: text for name, text, _ in documentation()}
    return {
        "version": metadata.version("radstream"),
        "ae_title": default["RADSTREAM_AE_TITLE"],
        "port": default["RADSTREAM_DICOM_PORT"],
        "tls_port": default["RADSTREAM_DICOM_TLS_PORT"],
        "verification_associations": default["RADSTREAM_VERIFICATION_ASSOCIATIONS"],
        "maximum_pdu_bytes": default["RADSTREAM_MAXIMUM_PDU_BYTES"],
        "maximum_associations": default["RADSTREAM_MAXIMUM_ASSOCIATIONS"],
        "implementation_class_uid": IMPLEMENTATION_CLASS_UID,
        "implementation_version_name": IMPLEMENTATION_VERSION_NAME,
        "storage_count": str(len(STORAGE_CLASSES)),
        **commitment(),
        **stow(),
        "storage_classes": _uids(STORAGE_CLASSES),
        "transfer_syntaxes": _uids(STANDARD_SYNTAXES),
        "ciphers": "\n".join(f"- `{name}`" for name in CIPHERS.split(":")),
        "refusals": _rows(
            (REJECTED_FOR[cause], *map(str, (one.result, one.source, one.reason))) for cause, one in BY_CAUSE.items()
        ),
        "statuses": _rows(_statuses()),
        "limits": _rows(_limits(default)),
        "settings": _rows((f"`{name}`", f"`{text}`" if text else "-", doc) for name, text, doc in listener_settings()),
    }


def _statuses() -> Iterable[tuple[str, ...]]:
    for status in StoreStatus:
        errors = [error for error, answer in STATUS_OF.items() if answer is status]
        reasons = [str(error.__doc__).splitlines()[0] for error in errors] or [WITHOUT_ERROR[status]]
        yield NAMES[status], f"0x{status:04X}", " ".join(reasons)


def _limits(default: Mapping[str, str]) -> Iterable[tuple[str, ...]]:
    lengths = upper_layer._LENGTHS  # noqa: SLF001 - the statement is about them
    for pdu in PDUS:
        taken = lengths[pdu().pdu_type]
        low, high = taken.start, taken.stop - 1
        yield pdu.__name__.replace("_", "-"), f"{low} bytes" if low == high else f"{low} to {high} bytes"
    yield "P-DATA-TF", "the PDU size offered"
    yield "command set", f"{upper_layer._LARGEST_COMMAND_BYTES} bytes"  # noqa: SLF001
    yield "data set of a command other than C-STORE", f"{upper_layer._LARGEST_OTHER_DATA_SET_BYTES} bytes"  # noqa: SLF001
    yield (
        "from the connection to the whole A-ASSOCIATE-RQ, TLS included (ARTIM)",
        f"{default['RADSTREAM_ARTIM_SECONDS']} s (`RADSTREAM_ARTIM_SECONDS`)",
    )
    yield "silence within a message", f"{default['RADSTREAM_DIMSE_SECONDS']} s (`RADSTREAM_DIMSE_SECONDS`)"
    yield "silence between messages", f"{default['RADSTREAM_IDLE_SECONDS']} s (`RADSTREAM_IDLE_SECONDS`)"


def _uids(uids: Iterable[str]) -> str:
    named = sorted((UID(uid).name, uid, UID(uid).is_retired) for uid in uids)
    return _rows((f"{name} (retired)" if retired else name, uid) for name, uid, retired in named)


def _rows(rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
