"""What STAT is given ahead of routine inside one process: a thread and a decoder of its own, and the processor."""

import os
from contextlib import suppress
from dataclasses import dataclass, field

from consumers.lanes.right_of_way import RightOfWay


@dataclass(frozen=True, slots=True)
class Precedence:
    """Where both lanes come, as in the service; without arguments nobody has any."""

    way: RightOfWay = field(default_factory=RightOfWay)
    stat_threads: int = 0  # threads of a stage that take STAT alone (count)
    nice: int = 0  # added to the nice value of who works for routine too (0 to 19)

    def yield_to_stat(self, task: int) -> None:
        """Let the kernel run a task, a thread or a process by its id, behind those that work for STAT alone.

        Whoever asks may have yielded itself: the main thread's nice value is what counts from. Without effect where
        the kernel does not allow it, or the task is gone.
        """
        if self.nice:
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, task, os.getpriority(os.PRIO_PROCESS, os.getpid()) + self.nice)
