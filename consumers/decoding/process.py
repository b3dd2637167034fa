"""The nursery: loads what decoders need, then forks one off at each request (`consumers.decoding.nursery`).

Started as `python -m consumers.decoding.process CONTROL` (a descriptor); ends when its owner does. A decoder turns
DICOM bytes into a network's input in a process of its own, so that bytes that crash it take nothing else.
"""

import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection

import cv2

from consumers.decoding.claim_check import MAX_OBJECT_BYTES
from consumers.decoding.frames import OUTPUT_BYTES, answer, asked
from consumers.decoding.heap import kept_memory
from consumers.decoding.shared_area import SharedArea
from consumers.imaging.prepare import Prepared, prepare_all
from consumers.imaging.wrap import as_part10
from schemas.errors import NotEvaluable
from schemas.words import Reason

#: A decompression bomb ends in MemoryError, not in a machine without memory (bytes).
_ADDRESS_SPACE_BYTES = 4 * 1024**3
_REQUEST_BYTES = 32
#: What each decoder inherits: its link, its input, its output (count).
_DESCRIPTORS = 3


def main(control: int) -> None:
    """Fork a decoder off at each request, and tell its id beside a descriptor of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the owner's business
    signal.signal(signal.SIGCHLD, _buried)
    cv2.setNumThreads(1)
    kept_memory()
    gc.freeze()  # what is there stays shared: a collection would write into each page of it
    with socket.socket(fileno=control) as owner:
        while True:
            request, descriptors, *_ = socket.recv_fds(owner, _REQUEST_BYTES, _DESCRIPTORS)
            if not request:
                return
            _bear(owner, descriptors)


def _bear(owner: socket.socket, descriptors: Sequence[int]) -> None:
    """Fork; the child is not buried before its descriptor is taken, or its id might be another's."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    pid = os.fork()
    if not pid:
        owner.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        decode(*descriptors)
        os._exit(0)
    child = os.pidfd_open(pid)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    socket.send_fds(owner, [str(pid).encode()], [child])
    for one in (child, *descriptors):
        os.close(one)


def _buried(_number: int, _frame: object) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def decode(descriptor: int, input_descriptor: int, output_descriptor: int) -> None:
    """Answer images one by one until the owner is gone."""
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, _ADDRESS_SPACE_BYTES))
    link: Connection[bytes, bytes] = Connection(descriptor)
    objects = SharedArea(MAX_OBJECT_BYTES, input_descriptor)
    tensors = SharedArea(OUTPUT_BYTES, output_descriptor)
    while True:
        try:
            size_bytes, specs = asked(link)
        except (EOFError, OSError):
            return
        outcome: list[Prepared] | NotEvaluable
        try:
            part10 = as_part10(objects.view(0, size_bytes))
            outcome = prepare_all(part10, specs)
        except NotEvaluable as error:
            outcome = error
        except MemoryError:
            outcome = NotEvaluable(Reason.UNDECODABLE)
        answer(link, outcome, tensors)


if __name__ == "__main__":
    main(int(sys.argv[1]))
