"""Places where a test may have the listener killed, as a crash would (RADSTREAM_DIE_AT)."""

import os
import signal
from enum import StrEnum, unique
from pathlib import Path

from schemas.errors import SettingInvalid


@unique
class Step(StrEnum):
    """The steps of an image, in order."""

    BEFORE_FSYNC = "before-fsync"  # arrived whole, not durable
    AFTER_FSYNC = "after-fsync"  # durable in the spool, nothing else
    BEFORE_JOURNAL = "before-journal"  # read back, about to be registered
    AFTER_JOURNAL = "after-journal"  # in the journal
    BEFORE_PUT = "before-put"  # about to be stored, while it is registered
    AFTER_PUT = "after-put"  # in the object store
    BEFORE_PUBLISH = "before-publish"  # stored, about to be claimed and written
    BEFORE_COMMIT = "before-commit"  # the broker has the event, its transaction is open
    AFTER_COMMIT = "after-commit"  # in the log; the journal doesn't know
    BEFORE_ANSWER = "before-answer"  # in the log; the sender doesn't know
    BEFORE_NOTE = "before-note"  # in the log, the sender may know; the journal doesn't


class CrashPoints:
    """Kills this process once, at one named step; a marker file remembers that it did."""

    def __init__(self, die_at: str, marker: Path) -> None:
        if die_at and die_at not in set(Step):
            raise SettingInvalid(f"RADSTREAM_DIE_AT={die_at} is no step: use one of {', '.join(Step)}")
        self._die_at = die_at
        self._marker = marker

    def armed(self, step: Step) -> bool:
        """Say whether `reach` would not return."""
        return step == self._die_at and not self._marker.exists()

    def reach(self, step: Step) -> None:
        """Die here if this is the step and nobody died at it before."""
        if not self.armed(step):
            return
        self._marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
