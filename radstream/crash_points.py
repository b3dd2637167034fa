"""Has a process killed at a named step, as a crash would, or stand still there (RADSTREAM_DIE_AT, _FREEZE_AT).

For tests alone.
"""

import os
import signal
from enum import StrEnum
from pathlib import Path

from schemas.errors import SettingInvalid


class CrashPoints:
    """Kills this process at one of a room's steps; with a marker file, which remembers that it did, once.

    At `freeze_at` the process stops, once, until somebody sends SIGCONT: then it is a zombie, if that took long enough.
    """

    def __init__(self, steps: type[StrEnum], die_at: str, marker: Path | None = None, *, freeze_at: str = "") -> None:
        for name, value in (("DIE", die_at), ("FREEZE", freeze_at)):
            if value and value not in set(steps):
                raise SettingInvalid(f"RADSTREAM_{name}_AT={value} is no step: use one of {', '.join(steps)}")
        self._die_at = die_at
        self._marker = marker
        self._freeze_at = freeze_at

    def armed(self, step: StrEnum) -> bool:
        """Say whether `reach` would not return."""
        return step == self._die_at and not (self._marker and self._marker.exists())

    def reach(self, step: StrEnum) -> None:
        """Die here if this is the step and nobody died at it before; stop here if this is the other step."""
        if step == self._freeze_at:
            self._freeze_at = ""
            os.kill(os.getpid(), signal.SIGSTOP)
        if not self.armed(step):
            return
        if self._marker:
            self._marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
