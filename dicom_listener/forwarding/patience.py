"""Servers that are away are waited for: the image stays in the spool meanwhile."""

from collections.abc import Callable, Sequence

from dicom_listener import instruments
from dicom_listener.forwarding.work import Work
from radstream.service import Stop
from schemas.errors import SchemaMissing, Unavailable

_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 0.1, 2.0


def until_done(step: Callable[[], None], stop: Stop) -> bool:
    """Run a step again and again while a server is away, or until asked to stop; say whether it was done."""
    pause = _FIRST_RETRY_SECONDS
    while not stop.requested:
        try:
            step()
        except (Unavailable, SchemaMissing) as error:
            instruments.RETRIES.labels(error.cause).inc()
            stop.wait(pause)
            pause = min(2 * pause, _LONGEST_RETRY_SECONDS)
        else:
            return True
    return False


def one_by_one(
    step: Callable[[Sequence[Work]], None],
    batch: Sequence[Work],
    error: Exception,
    set_aside: Callable[[Work, Exception], None],
) -> list[Work]:
    """Take each alone after a batch failed in a way that nobody foresaw, so that one can't hold up the rest.

    Gives those that went well.
    """
    if len(batch) == 1:
        set_aside(batch[0], error)
        return []
    passed = []
    for work in batch:
        try:
            step([work])
        except Exception as alone:  # noqa: BLE001 - the room's one loop: the image stays in the spool
            set_aside(work, alone)
        else:
            passed.append(work)
    return passed
