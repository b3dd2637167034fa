"""A decoder: a process that turns DICOM bytes into a network's input, so that bytes that crash it take nothing else.

Started as `python -m consumers.decoder_process LINK INPUT OUTPUT` (descriptors) by `consumers.decoders`; ends when its
owner does.
"""

import resource
import signal
import sys
from multiprocessing.connection import Connection

import cv2

from consumers.claim_check import MAX_OBJECT_BYTES
from consumers.decoder_frames import OUTPUT_BYTES, READY, answer, asked
from consumers.heap import kept_memory
from consumers.imaging.prepare import Prepared, prepare_all
from consumers.imaging.wrap import as_part10
from consumers.shared_area import SharedArea
from schemas.errors import NotEvaluable
from schemas.words import Reason

#: A decompression bomb ends in MemoryError, not in a machine without memory (bytes).
_ADDRESS_SPACE_BYTES = 4 * 1024**3


def main(descriptor: int, input_descriptor: int, output_descriptor: int) -> None:
    """Answer images one by one until the owner is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the owner's business
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, _ADDRESS_SPACE_BYTES))
    cv2.setNumThreads(1)
    kept_memory()
    link: Connection[bytes, bytes] = Connection(descriptor)
    objects = SharedArea(MAX_OBJECT_BYTES, input_descriptor)
    tensors = SharedArea(OUTPUT_BYTES, output_descriptor)
    link.send_bytes(READY)
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
    main(*map(int, sys.argv[1:]))
