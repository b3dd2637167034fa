"""Waiting for what becomes of images, as long as the sender does and no longer than the terms say."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from http import HTTPStatus

from consumers.door.body import Receive, SenderGone
from consumers.door.desk import NoImage, NoModel
from consumers.door.predicted import Predicted
from consumers.door.words import Problem, not_evaluated
from radstream.logs import get_log
from schemas.errors import NotEvaluable
from schemas.words import Reason

Found = Predicted | Problem

_PROBLEM_OF: Mapping[type[BaseException], tuple[HTTPStatus, str]] = {
    NoImage: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The image is neither a DICOM Part 10 file, a PNG nor a JPEG."),
    NoModel: (HTTPStatus.SERVICE_UNAVAILABLE, "No model is loaded yet."),
    asyncio.CancelledError: (HTTPStatus.SERVICE_UNAVAILABLE, "The service stops."),
}


async def all_of(answers: Sequence[Future[Predicted]], receive: Receive, seconds: float) -> list[Found]:
    """Give each image's result or problem, in order; raise SenderGone.

    What is not answered in time is a 504 each, and what has not begun by then is dropped.
    """
    waiting = [asyncio.wrap_future(one) for one in answers]
    gone = asyncio.create_task(_gone(receive))
    everything = asyncio.create_task(_ended(waiting))
    try:
        await asyncio.wait({gone, everything}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if gone.done() and not everything.done():
            raise SenderGone
        return [_found(one) for one in waiting]
    finally:
        gone.cancel()
        everything.cancel()
        for one in waiting:
            if not one.cancel() and not one.cancelled():
                one.exception()  # looked at, or asyncio would report it as forgotten


async def _ended(waiting: "Sequence[asyncio.Future[Predicted]]") -> None:
    """Wait until all are done, well or not."""
    await asyncio.wait(waiting)


async def _gone(receive: Receive) -> None:
    """Wait until the sender has gone away; whatever it sends meanwhile is nothing to us."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _found(one: "asyncio.Future[Predicted]") -> Found:
    if not one.done():
        return Problem(HTTPStatus.GATEWAY_TIMEOUT, "No answer in time.")
    error = asyncio.CancelledError() if one.cancelled() else one.exception()
    if error is None:
        return one.result()
    if isinstance(error, NotEvaluable):
        return not_evaluated(error.reason)
    if type(error) in _PROBLEM_OF:
        return Problem(*_PROBLEM_OF[type(error)])
    get_log().error("prediction failed", error=type(error).__name__, exc_info=error)
    return not_evaluated(Reason.INTERNAL)
