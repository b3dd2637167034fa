"""STOW-RS's words (PS3.18 10.5): outcomes of instances, the response module, its HTTP status. Pure.

The tables here are what the conformance statement says.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, unique
from http import HTTPStatus
from typing import Any

from dicom_listener.standard.statuses import StoreStatus
from dicom_listener.standard.uids import well_formed

MEDIA_TYPE = "application/dicom+json"


@unique
class StowFailure(IntEnum):
    """Why an instance was not stored (PS3.18 table 10.5.3-2)."""

    PROCESSING_FAILURE = 0x0110
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH = 0xA900  # file meta and data set differ, or the study is not the URL's
    CANNOT_UNDERSTAND = 0xC000
    TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122


#: What a C-STORE would have been answered, in STOW-RS's words.
FAILURE_OF: Mapping[StoreStatus, StowFailure] = {
    StoreStatus.PROCESSING_FAILURE: StowFailure.PROCESSING_FAILURE,
    StoreStatus.INVALID_SOP_INSTANCE: StowFailure.CANNOT_UNDERSTAND,
    StoreStatus.SOP_CLASS_NOT_SUPPORTED: StowFailure.SOP_CLASS_NOT_SUPPORTED,
    StoreStatus.OUT_OF_RESOURCES: StowFailure.OUT_OF_RESOURCES,
    StoreStatus.DATA_SET_DOES_NOT_MATCH: StowFailure.DATA_SET_DOES_NOT_MATCH,
    StoreStatus.CANNOT_UNDERSTAND: StowFailure.CANNOT_UNDERSTAND,
}

#: PS3.18 table 10.5.3-1 and section 8.5, with our conditions.
STATUSES: Mapping[HTTPStatus, str] = {
    HTTPStatus.OK: "Every instance is durable.",
    HTTPStatus.ACCEPTED: "Some instances are durable; the response names those that failed, with reasons.",
    HTTPStatus.BAD_REQUEST: "The body is no multipart, or the study or lane of the URL is none.",
    HTTPStatus.UNAUTHORIZED: "RADSTREAM_STOW_TOKEN is set, and the bearer token is another.",
    HTTPStatus.NOT_FOUND: "The path is neither /studies nor /studies/{study}.",
    HTTPStatus.METHOD_NOT_ALLOWED: "The method is not POST.",
    HTTPStatus.NOT_ACCEPTABLE: "The Accept header leaves out application/dicom+json.",
    HTTPStatus.REQUEST_TIMEOUT: "The sender was silent, or slow, for too long.",
    HTTPStatus.CONFLICT: "Every instance failed; the response has the reasons.",
    HTTPStatus.LENGTH_REQUIRED: "Neither a length nor chunks.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is over RADSTREAM_STOW_REQUEST_BYTES, or has too many parts.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: 'The body is no multipart/related; type="application/dicom".',
    HTTPStatus.SERVICE_UNAVAILABLE: "The spool is over its watermark, or too many requests run; Retry-After says when.",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one part; without UIDs where nobody could read them."""

    failure: StowFailure | None
    sop_class_uid: str = ""
    sop_instance_uid: str = field(default="", repr=False)

    @property
    def is_named(self) -> bool:
        """Whether a response may refer to the instance."""
        return well_formed(self.sop_class_uid) and well_formed(self.sop_instance_uid)


def status_of(outcomes: Sequence[Outcome]) -> HTTPStatus:
    """Give the status of a response (PS3.18 table 10.5.3-1).

    >>> status_of([Outcome(None), Outcome(StowFailure.CANNOT_UNDERSTAND)])
    <HTTPStatus.ACCEPTED: 202>
    """
    failures = [one.failure for one in outcomes if one.failure is not None]
    if not outcomes:
        return HTTPStatus.BAD_REQUEST
    if not failures:
        return HTTPStatus.OK
    if len(failures) < len(outcomes):
        return HTTPStatus.ACCEPTED
    if set(failures) == {StowFailure.OUT_OF_RESOURCES}:
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.CONFLICT


def response_of(outcomes: Sequence[Outcome]) -> bytes:
    """Write the Store Instances Response Module (PS3.18 table 10.5.3-2) as DICOM JSON (PS3.18 annex F).

    Retrieve URLs (type 2) are empty: nothing can be retrieved from here.
    """
    stored = [_reference(one) | {"00081190": {"vr": "UR"}} for one in outcomes if one.failure is None]
    failed = [_reference(one) | _reason(one.failure) for one in outcomes if one.failure is not None and one.is_named]
    others = [_reason(one.failure) for one in outcomes if one.failure is not None and not one.is_named]
    module: dict[str, Any] = {"00081190": {"vr": "UR"}}
    for tag, items in (("00081198", failed), ("00081199", stored), ("0008119A", others)):
        if items:
            module[tag] = {"vr": "SQ", "Value": items}
    return json.dumps(module).encode()


def _reference(one: Outcome) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": [one.sop_class_uid]},
        "00081155": {"vr": "UI", "Value": [one.sop_instance_uid]},
    }


def _reason(failure: StowFailure) -> dict[str, Any]:
    return {"00081197": {"vr": "US", "Value": [int(failure)]}}
