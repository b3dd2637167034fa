"""Processes of this machine as the kernel shows them: families, and what each holds."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


def family(pid: int) -> list[int]:
    """Give a process and its descendants, the eldest first."""
    found = [pid]
    for one in found:
        found += children(one)
    return found


def children(pid: int) -> list[int]:
    """List the processes that a process's threads started. What ends meanwhile (a thread, the process) has none."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def lives(pid: int) -> bool:
    """Say whether a process runs: one that has ended and waits for its burial does not."""
    with suppress(OSError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def name_of(pid: int) -> str:
    """Give the name that a process goes by; empty when it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    return ""


def command_line(pid: int) -> bytes:
    """Give a process's command line; empty when it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


@contextmanager
def frozen(pid: int) -> Iterator[list[int]]:
    """Hold a family still while somebody looks; give its members. One that is killed meanwhile stays dead."""
    members = family(pid)
    for one in members:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGSTOP)
    try:
        yield members
    finally:
        for one in members:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a family of processes holds."""

    threads: int
    descriptors: int
    rss_mib: float


def holdings(pid: int) -> Holdings:
    """Count threads, descriptors and resident memory (MiB) of a process and its descendants."""
    members = family(pid)
    return Holdings(
        threads=sum(_number(one, "Threads") for one in members),
        descriptors=sum(len(list(Path(f"/proc/{one}/fd").iterdir())) for one in members),
        rss_mib=sum(_number(one, "VmRSS") for one in members) / 1024,
    )


def peak_mib(pid: int) -> float:
    """Give the most resident memory that each process of a family ever held, added up (MiB)."""
    return sum(_number(one, "VmHWM") for one in family(pid)) / 1024


def _number(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
