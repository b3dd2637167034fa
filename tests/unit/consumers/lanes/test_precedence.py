"""Who works for routine too yields the processor to STAT."""

import os
import subprocess
import threading

from consumers.lanes.precedence import Precedence


def _nice(task: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, task)


def test_a_thread_that_yields_and_the_process_that_it_starts_yield_alike() -> None:
    """A nice value counts from the service's own: a decoder's would else be its thread's and its own together."""
    precedence, found = Precedence(nice=3), []

    def work() -> None:
        thread = threading.get_native_id()
        precedence.yield_to_stat(thread)
        with subprocess.Popen(["sleep", "60"]) as child:
            precedence.yield_to_stat(child.pid)
            found.extend((_nice(thread), _nice(child.pid)))
            child.kill()

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()

    service = _nice(os.getpid())
    assert found == [service + 3, service + 3]
