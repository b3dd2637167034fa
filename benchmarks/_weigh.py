"""What a process and all that it started cost: CPU time and memory, from /proc."""

import os
import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
_SAMPLE_SECONDS = 0.1
_PSS = re.compile(r"^Pss:\s+(\d+)", re.MULTILINE)
_UTIME, _CSTIME = 11, 14  # fields of /proc/PID/stat after the name: utime, stime, cutime, cstime


def tree(pid: int) -> list[int]:
    """Give a process and its descendants; what ends meanwhile is left out."""
    found = [pid]
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                for child in (task / "children").read_text().split():
                    found += tree(int(child))
    return found


def cpu_ms(pid: int) -> float:
    """Give the CPU time (ms) of a tree, its ended and awaited children included."""
    ticks = 0
    for one in tree(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[_UTIME : _CSTIME + 1])
    return ticks * _TICK_MS


def rss_mb(pid: int) -> float:
    """Give the resident memory (MB of 1024 x 1024 bytes), summed over the tree: shared pages count for each."""
    return sum(own_rss_mb(one) for one in tree(pid))


def own_rss_mb(pid: int) -> float:
    """Give the resident memory of one process; 0 when it has ended."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_MB
    return 0.0


def own_pss_mb(pid: int) -> float:
    """Give the proportional set size of one process, shared pages divided among their users; 0 when it has ended."""
    with suppress(OSError):
        found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
        return int(found[1]) / 1024 if found else 0.0
    return 0.0


def pss_mb(pid: int) -> float:
    """Give the proportional set size (MB of 1024 x 1024 bytes) of a tree."""
    return round(sum(own_pss_mb(one) for one in tree(pid)), 1)


def descriptors(pid: int) -> int:
    """Count the open descriptors of a tree."""
    return sum(_entries(one, "fd") for one in tree(pid))


def threads(pid: int) -> int:
    """Count the threads of a tree."""
    return sum(_entries(one, "task") for one in tree(pid))


def _entries(pid: int, kind: str) -> int:
    with suppress(OSError):
        return len(list(Path(f"/proc/{pid}/{kind}").iterdir()))
    return 0


class Peak:
    """Samples the memory of a tree while the block runs; `mb` is the highest."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.mb = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.mb = max(self.mb, rss_mb(self._pid))

    def _run(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self.mb = max(self.mb, rss_mb(self._pid))
