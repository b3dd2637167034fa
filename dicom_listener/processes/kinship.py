"""What the kernel is asked about parents and children (prctl(2))."""

import ctypes
import signal

_SET_PDEATHSIG, _SET_NAME, _SET_CHILD_SUBREAPER = 1, 15, 36


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent dies: no worker outlives a parent that was killed."""
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)


def inherit_orphans(*, whether: bool = True) -> None:
    """Make the children of children that end ours, or not: a worker is the parent's own, whoever forked it."""
    _prctl(_SET_CHILD_SUBREAPER, int(whether))


def go_by(name: str) -> None:
    """Name this process for `ps -o comm` and `top`: a fork has the command line of whoever it was forked from."""
    _prctl(_SET_NAME, ctypes.c_char_p(name.encode()))


def _prctl(option: int, value: object) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value)
