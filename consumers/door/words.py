"""What the door says: predictions, and problems as RFC 9457 writes them. Pure.

The table of statuses here is what docs/predict.md shows.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from consumers.door.predicted import Predicted
from schemas.words import Outcome, Reason

PROBLEM_TYPE = "application/problem+json"
DISCLAIMERS = ("not for diagnostic use", "needs clinical review")
#: What Retry-After says (seconds): the longest queue is worked off in a few.
RETRY_SECONDS = 1

#: What an image that was not evaluated is answered; every other reason is a 422.
STATUS_OF: Mapping[Reason, HTTPStatus] = {
    Reason.UNSUPPORTED_TRANSFER_SYNTAX: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Reason.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}

#: RFC 9110 15, with our conditions.
STATUSES: Mapping[HTTPStatus, str] = {
    HTTPStatus.OK: "The prediction; of a batch one entry an image, each a prediction or a problem.",
    HTTPStatus.BAD_REQUEST: "The body is no multipart, or holds no image or more than the one; or no such lane.",
    HTTPStatus.UNAUTHORIZED: "RADSTREAM_PREDICT_TOKENS is set, and the bearer token stands for nobody.",
    HTTPStatus.REQUEST_TIMEOUT: "The sender was silent, or slow, for too long.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is over RADSTREAM_PREDICT_REQUEST_BYTES, or has too many images.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is neither DICOM Part 10, PNG nor JPEG, or its transfer syntax has no "
    "decoder (`unsupported_transfer_syntax`).",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The image was not evaluated; `reason` says why.",
    HTTPStatus.TOO_MANY_REQUESTS: "As many images are in hand as may be; Retry-After says when to ask again.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "A failure of ours (`internal`); it was logged.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The service stops, or has no model yet; Retry-After says when to ask again.",
    HTTPStatus.GATEWAY_TIMEOUT: "No answer in RADSTREAM_PREDICT_SECONDS.",
}

#: What an answer takes from a result: nothing that says which image it was.
_SHOWN = (
    "model", "model_version", "deployment_revision", "role", "outcome", "probabilities", "finding", "threshold",
    "needs_review", "review_reasons", "uncertainty", "disagreement", "out_of_distribution", "lane",
)  # fmt: skip


class Problem(Exception):
    """Why there is no prediction."""

    def __init__(self, status: HTTPStatus, detail: str, reason: Reason | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.reason = reason


def not_evaluated(reason: Reason) -> Problem:
    """Say that the image was not evaluated.

    >>> not_evaluated(Reason.VIEW).status
    <HTTPStatus.UNPROCESSABLE_ENTITY: 422>
    """
    status = STATUS_OF.get(reason, HTTPStatus.UNPROCESSABLE_ENTITY)
    return Problem(status, "The image was not evaluated, so nobody may rely on the model: a person must look.", reason)


def prediction_of(found: Predicted, *, heatmap: bool = False) -> dict[str, Any]:
    """Write what a model says of an image, with its map where that was asked for."""
    result = found.result
    shown = {name: getattr(result, name) for name in _SHOWN}
    latency_ms = 1000 * (result.completed_at - result.received_at).total_seconds()
    stage_ms = {stage: round(spent, 3) for stage, spent in result.stage_ms.items()}
    mapped = {"heatmap": found.heatmap()} if heatmap else {}
    return {**shown, **mapped, "latency_ms": round(latency_ms, 3), "stage_ms": stage_ms, "disclaimers": DISCLAIMERS}


def problem_of(problem: Problem) -> dict[str, Any]:
    """Write a problem (RFC 9457 3); one about an image has the fields of its result.

    >>> problem_of(Problem(HTTPStatus.NOT_FOUND, "No such path."))
    {'type': 'about:blank', 'title': 'Not Found', 'status': 404, 'detail': 'No such path.'}
    """
    fields = {
        "type": "about:blank" if problem.reason is None else f"urn:radstream:reason:{problem.reason}",
        "title": problem.status.phrase if problem.reason is None else f"Not evaluated: {problem.reason}",
        "status": int(problem.status),
        "detail": problem.detail,
    }
    if problem.reason is None:
        return fields
    about_it = {"outcome": Outcome.NOT_EVALUATED, "reason": problem.reason, "needs_review": True}
    return {**fields, **about_it, "disclaimers": DISCLAIMERS}
