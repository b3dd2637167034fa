"""What the spool needs beside forwarding: checkpoints, entries that had no room in memory, gauges."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from dicom_listener import instruments
from radstream.logs import get_log
from radstream.service import Stop
from radstream.spool.spool import Spool
from schemas.errors import RadStreamError

#: How often the spool is looked after (seconds).
ROUND_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """When forwarded files go."""

    seconds: float  # apart
    shed_percent: float  # where the disk is fuller, in each round: another process may be refusing images for them


def keep(
    spool: Spool,
    refill: Callable[[], None],
    oldest: Callable[[], datetime | None],
    checkpoints: Checkpoints,
    stop: Stop,
) -> None:
    """Keep the spool until asked to stop: measure and refill each round, checkpoint when it is due."""
    checkpoint_at = time.monotonic() + checkpoints.seconds
    while not stop.wait(ROUND_SECONDS):
        try:
            if time.monotonic() >= checkpoint_at or spool.used_percent() > checkpoints.shed_percent:
                spool.checkpoint()
                checkpoint_at = time.monotonic() + checkpoints.seconds
            refill()
            _measure(spool, oldest())
        except (RadStreamError, OSError) as error:
            get_log().error("spool not kept", exc_info=error)


def _measure(spool: Spool, oldest: datetime | None) -> None:
    instruments.SPOOL_DEPTH.set(spool.depth)
    instruments.SPOOL_KEPT.set(spool.kept)
    instruments.SPOOL_USED.set(spool.used_percent())
    instruments.SPOOL_AGE.set((datetime.now(UTC) - oldest).total_seconds() if oldest else 0.0)
