"""A decoder: a process that turns DICOM bytes into a network's input, so that bytes that crash it take nothing else.

Started as `python -m consumers.decoder_process FD` by `consumers.decoders`; ends when its owner does.
"""

import resource
import signal
import sys
from multiprocessing.connection import Connection

import cv2

from consumers.decoder_frames import READY, answer, asked
from consumers.imaging.prepare import prepare
from consumers.imaging.wrap import as_part10
from schemas.errors import NotEvaluable
from schemas.words import Reason

#: A decompression bomb ends in MemoryError, not in a machine without memory (bytes).
_ADDRESS_SPACE_BYTES = 4 * 1024**3


def main(descriptor: int) -> None:
    """Answer images one by one until the owner is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the owner's business
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, _ADDRESS_SPACE_BYTES))
    cv2.setNumThreads(1)
    link: Connection[bytes, bytes] = Connection(descriptor)
    link.send_bytes(READY)
    while True:
        try:
            content, specs = asked(link)
        except (EOFError, OSError):
            return
        try:
            part10 = as_part10(content)
            answer(link, [prepare(part10, spec) for spec in specs])
        except NotEvaluable as error:
            answer(link, error)
        except MemoryError:
            answer(link, NotEvaluable(Reason.UNDECODABLE))


if __name__ == "__main__":
    main(int(sys.argv[1]))
