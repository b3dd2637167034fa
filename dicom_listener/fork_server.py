"""Where workers come from: a process that has imported all that they need, and forks one when the parent asks.

A worker with an interpreter of its own takes a second or more to start and some 65 MB for its modules; a fork shares
them. This process runs no thread, opens no connection and uses none of its libraries, so that a fork finds each of
them as if it had just been imported; what it has is kept out of the collector's sight (gc.freeze), so that collections
don't touch, and thereby copy, what is shared.
"""

import gc
import os
import signal
import socket
import sys
from contextlib import closing
from dataclasses import dataclass

from dicom_listener import worker
from dicom_listener.processes.board import Board
from dicom_listener.processes.channel import Born, Channel, Waiting, Wanted
from dicom_listener.processes.kinship import end_with_parent, go_by

_PID_BYTES = 4


@dataclass(frozen=True, slots=True)
class Birth:
    """What a new worker is given."""

    wanted: Wanted
    descriptor: int  # of its channel to the parent


def serve(channel: Channel) -> Birth | None:
    """Fork a worker for each request; come back in each of them with its birth, and with None when the parent ends."""
    channel.send(Waiting({}))
    while (received := channel.receive()) is not None:
        message, descriptor = received
        if isinstance(message, Wanted) and descriptor is not None:
            pid = _fork()
            if pid == 0:
                return Birth(message, descriptor)
            os.close(descriptor)
            channel.send(Born(pid))
    return None


def _fork() -> int | None:
    """Fork a worker that is the parent's own child; give its process id, 0 in the worker, None when there is none.

    1. fork a process between us and the worker; it forks the worker, tells its id, and ends
    2. wait for its end: the kernel has given the worker to the parent by then (kinship.inherit_orphans)
    3. let the worker go on: from here on its parent's death is its own
    """
    told, telling = os.pipe()
    waited, letting_go = os.pipe()
    try:
        between = os.fork()
    except OSError:
        for one in (told, telling, waited, letting_go):
            os.close(one)
        return None
    if between == 0:
        _fork_again(telling)
        os.close(told)
        os.close(letting_go)
        os.read(waited, 1)  # its end
        os.close(waited)
        return 0
    for one in (telling, waited):
        os.close(one)
    pid = int.from_bytes(os.read(told, _PID_BYTES), "little")
    os.close(told)
    os.waitpid(between, 0)
    os.close(letting_go)
    return pid or None


def _fork_again(telling: int) -> None:
    """Come back in the worker alone."""
    try:
        pid = os.fork()
    except OSError:
        os._exit(1)
    if pid:
        os.write(telling, pid.to_bytes(_PID_BYTES, "little"))
        os._exit(0)
    os.close(telling)


def main(channel: Channel, board: int) -> int:
    """Serve; in a worker: be one. Gives the exit status."""
    end_with_parent()
    go_by("fork server")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's goes to all: the parent ends us
    gc.collect()
    gc.freeze()
    with closing(channel):
        birth = serve(channel)
    if birth is None:
        return 0
    wanted = birth.wanted
    go_by(f"worker {wanted.number}")
    place = worker.Place(wanted.number, wanted.slot, Board(board, wanted.processes))
    return worker.main(birth.descriptor, place)


if __name__ == "__main__":
    channel_descriptor, board_descriptor = map(int, sys.argv[1:])
    sys.exit(main(Channel(socket.socket(fileno=channel_descriptor)), board_descriptor))
