"""What the spool needs beside forwarding: checkpoints, entries that had no room in memory, gauges."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from dicom_listener import instruments
from radstream.logs import get_log
from radstream.service import Stop
from radstream.spool import Spool
from schemas.errors import RadStreamError

_ROUND_SECONDS = 1.0


def keep(
    spool: Spool,
    refill: Callable[[], None],
    oldest: Callable[[], datetime | None],
    checkpoint_seconds: float,
    stop: Stop,
) -> None:
    """Keep the spool until asked to stop: measure and refill each round, checkpoint when it is due."""
    checkpoint_at = time.monotonic() + checkpoint_seconds
    while not stop.wait(_ROUND_SECONDS):
        try:
            if time.monotonic() >= checkpoint_at:
                spool.checkpoint()
                checkpoint_at = time.monotonic() + checkpoint_seconds
            refill()
            _measure(spool, oldest())
        except (RadStreamError, OSError) as error:
            get_log().error("spool not kept", exc_info=error)


def _measure(spool: Spool, oldest: datetime | None) -> None:
    instruments.SPOOL_DEPTH.set(spool.depth)
    instruments.SPOOL_KEPT.set(spool.kept)
    instruments.SPOOL_USED.set(spool.used_percent())
    instruments.SPOOL_AGE.set((datetime.now(UTC) - oldest).total_seconds() if oldest else 0.0)
