"""The door's paths, as a FastAPI application. Loaded when somebody first comes: a door without guests is free."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from consumers.door.answers import Found, all_of
from consumers.door.body import MULTIPART, PLAIN, SenderGone, images_of
from consumers.door.desk import Desk
from consumers.door.forms import Batch, Models, Prediction, ProblemDetails
from consumers.door.meters import DoorMeters
from consumers.door.room import Room
from consumers.door.terms import DoorTerms
from consumers.door.tokens import Tokens
from consumers.door.words import (
    DISCLAIMERS,
    PROBLEM_TYPE,
    RETRY_SECONDS,
    STATUSES,
    Problem,
    prediction_of,
    problem_of,
)
from consumers.models.loaded import Assignment
from radstream.logs import get_log
from schemas.words import Lane, Outcome

#: What a status tells the sender to do besides.
_HEADERS: Mapping[HTTPStatus, Mapping[str, str]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": str(RETRY_SECONDS)},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": str(RETRY_SECONDS)},
}
_GONE = 499  # nginx's number for a sender that went away: for our log, nobody reads the answer
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_PARTS = {"schema": {"type": "object", "additionalProperties": {"type": "string", "format": "binary"}}}

Urgency = Annotated[Lane, Query(description="`stat` goes before the log's routine images too.")]
Mapped = Annotated[bool, Query(description="Give the finding's heat map too.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the paths need."""

    desk: Desk
    terms: DoorTerms
    tokens: Tokens | None
    meters: DoorMeters
    stopping: Callable[[], bool]


class Paths:
    """What is done at each path."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._room = Room(parts.terms.images, parts.terms.pending_bytes)

    def known(self, request: Request) -> None:
        """Let in who has a token, where tokens are asked for; raise Problem."""
        tokens = self._parts.tokens
        if tokens is not None and tokens.holder(request.headers.get("authorization", "")) is None:
            raise Problem(HTTPStatus.UNAUTHORIZED, "The bearer token stands for nobody.")

    async def predict(self, request: Request, lane: Urgency = Lane.ROUTINE, *, heatmap: Mapped = False) -> JSONResponse:
        """Evaluate one image: a DICOM Part 10 file, a PNG or a JPEG, as the body or as its only part."""
        (found,) = await self._asked(request, lane, 1)
        if isinstance(found, Problem):
            raise found
        return JSONResponse(prediction_of(found, heatmap=heatmap))

    async def predict_batch(
        self, request: Request, lane: Urgency = Lane.ROUTINE, *, heatmap: Mapped = False
    ) -> JSONResponse:
        """Evaluate each part of a multipart body; one entry a part, in their order, a prediction or a problem."""
        found = await self._asked(request, lane, self._parts.terms.images)
        entries = [
            problem_of(one) if isinstance(one, Problem) else prediction_of(one, heatmap=heatmap) for one in found
        ]
        return JSONResponse({"results": entries, "disclaimers": DISCLAIMERS})

    async def models(self) -> JSONResponse:
        """List the models that answer, the champion first."""
        listed = [_model_of(one) for one in self._parts.desk.assigned()]
        return JSONResponse({"models": listed, "disclaimers": DISCLAIMERS})

    async def live(self) -> JSONResponse:
        """Say that the door's thread goes round."""
        return JSONResponse({"live": True})

    async def ready(self) -> JSONResponse:
        """Say whether an image would be answered: that asks for a model, and for no server."""
        is_ready = bool(self._parts.desk.assigned()) and not self._parts.stopping()
        return JSONResponse({"ready": is_ready}, HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE)

    async def _asked(self, request: Request, lane: Lane, most: int) -> list[Found]:
        """Read the images and wait for what becomes of each."""
        if self._parts.stopping():
            raise _stops()
        terms, meters = self._parts.terms, self._parts.meters
        began = time.monotonic()
        with self._room.place() as place, meters.in_hand():
            try:
                images = await images_of(request.headers, request.receive, place, terms, most)
                answers = [self._parts.desk.ask(lane, image) for image in images]
                found = await all_of(answers, request.receive, terms.answer_seconds)
            except asyncio.CancelledError as error:  # the grace of a stop is over
                raise _stops() from error
        for one in found:
            meters.image(lane, Outcome.NOT_EVALUATED if isinstance(one, Problem) else one.result.outcome, _reason(one))
        get_log().info(
            "prediction answered",
            lane=lane,
            images=len(images),
            bytes=sum(map(len, images)),
            reason=_reason(found[0]) or None,
            ms=round(1000 * (time.monotonic() - began), 1),
        )
        return found


def app_of(parts: Parts) -> FastAPI:
    """Make the application."""
    app = FastAPI(
        title="RadStream prediction",
        version="1",
        description="A prediction for an image that is sent here; nothing of it is kept. Not for diagnostic use.",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
    )
    paths = Paths(parts)
    guarded: dict[str, Any] = {"dependencies": [Depends(paths.known)], "responses": _problems()}
    post: dict[str, Any] = {"methods": ["POST"], **guarded}
    app.add_api_route("/v1/predict", paths.predict, response_model=Prediction, openapi_extra=_body(PLAIN), **post)
    app.add_api_route("/v1/predict/batch", paths.predict_batch, response_model=Batch, openapi_extra=_body(()), **post)
    app.add_api_route("/v1/models", paths.models, response_model=Models, **guarded)
    app.add_api_route("/health/live", paths.live, include_in_schema=False)
    app.add_api_route("/health/ready", paths.ready, include_in_schema=False)
    for kind in (Problem, HTTPException, RequestValidationError, SenderGone, Exception):
        app.add_exception_handler(kind, _answer)
    return app


async def _answer(_request: Request, error: Exception) -> Response:
    """Answer whatever a request ended with."""
    if isinstance(error, SenderGone):
        return Response(status_code=_GONE)
    problem = _problem(error)
    headers = {**_HEADERS.get(problem.status, {}), **(getattr(error, "headers", None) or {})}
    return JSONResponse(problem_of(problem), problem.status, headers, media_type=PROBLEM_TYPE)


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):  # a path or method that is none of ours
        status = HTTPStatus(error.status_code)
        return Problem(status, f"{status.description or status.phrase}.")
    if isinstance(error, RequestValidationError):
        return Problem(HTTPStatus.BAD_REQUEST, f"lane is one of {', '.join(Lane)}, heatmap true or false.")
    get_log().error("request failed", error=type(error).__name__, exc_info=error)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "A failure of ours; it was logged.")


def _stops() -> Problem:
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "The service stops.")


def _reason(one: Found) -> str:
    return str(one.reason or one.status.phrase) if isinstance(one, Problem) else ""


def _model_of(one: Assignment) -> dict[str, Any]:
    manifest, operating = one.model.manifest, one.model.operating
    return {
        "model": one.model.name,
        "model_version": one.model.version,
        "role": one.role,
        "deployment_revision": one.deployment_revision,
        "digest": one.model.digest,
        "engine": one.model.engine.name,
        "architecture": manifest.architecture,
        "members": [member.version for member in manifest.members],
        "input": {"height": one.model.spec.height, "width": one.model.spec.width},
        "classes": operating.classes,
        "positive": operating.positive,
        "threshold": operating.threshold,
        "metrics": manifest.described.get("metrics", {}),
    }


def _body(plain: Iterable[str]) -> dict[str, Any]:
    """Describe a request's body for OpenAPI."""
    content = dict.fromkeys(sorted(plain), _BINARY) | dict.fromkeys(sorted(MULTIPART), _PARTS)
    return {"requestBody": {"required": True, "content": content}}


def _problems() -> dict[int | str, dict[str, Any]]:
    """Describe the answers other than 200 for OpenAPI."""
    return {
        int(status): {"description": meaning, "model": ProblemDetails, "content": {PROBLEM_TYPE: {}}}
        for status, meaning in STATUSES.items()
        if status is not HTTPStatus.OK
    }


class Counted:
    """The application, its answers counted by path and status."""

    def __init__(self, app: FastAPI, meters: DoorMeters) -> None:
        self._app = app
        self._meters = meters
        self._paths = frozenset(getattr(route, "path", "") for route in app.routes)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass everything on."""
        path = scope["path"] if scope["path"] in self._paths else "other"

        async def counted(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._meters.request(path, str(message["status"]))
            await send(message)

        await self._app(scope, receive, counted)
