"""Servers that are away are waited for: the image stays in the spool meanwhile."""

from collections.abc import Callable

from dicom_listener import instruments
from radstream.service import Stop
from schemas.errors import SchemaMissing, Unavailable

_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 0.1, 2.0


def until_done(step: Callable[[], None], stop: Stop) -> None:
    """Run a step again and again while a server is away, or until asked to stop."""
    pause = _FIRST_RETRY_SECONDS
    while not stop.requested:
        try:
            step()
        except (Unavailable, SchemaMissing) as error:
            instruments.RETRIES.labels(error.cause).inc()
            stop.wait(pause)
            pause = min(2 * pause, _LONGEST_RETRY_SECONDS)
        else:
            return
