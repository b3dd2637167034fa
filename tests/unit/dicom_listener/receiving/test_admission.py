"""Who is let in when the spool's disk fills."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dicom_listener.forwarding.keeper import ROUND_SECONDS
from dicom_listener.receiving.admission import Admission
from dicom_listener.receiving.terms import Terms
from radstream.spool.spool import Spool
from schemas.errors import SpoolFull
from schemas.words import Lane
from tests.notes import NOTE

TERMS = Terms(
    policy="published",
    deadline_seconds=1.0,
    shed_percent=80.0,
    refuse_percent=90.0,
    routes=(),
    lenient_syntaxes=None,
)


class _SmallSpool(Spool):
    """A spool on a disk that is full while forwarded files lie on it, in whosever slot."""

    def used_percent(self) -> float:
        return 95.0 if list(self._folder.parent.glob("*/*.done")) else 10.0


def test_an_image_that_comes_during_a_checkpoint_waits_for_its_room(tmp_path: Path) -> None:
    """The files of a checkpoint under way are about to go: refusing for them would lose time for nothing."""
    syncing, synced = threading.Event(), threading.Event()

    def sync() -> None:
        syncing.set()
        assert synced.wait(30)

    spool = _SmallSpool(tmp_path, "0", sync)
    spool.open()
    _forward_one(spool)
    admission = Admission(spool, TERMS)
    checkpoint = threading.Thread(target=spool.checkpoint)
    checkpoint.start()
    assert syncing.wait(30)
    threading.Timer(0.2, synced.set).start()

    admission.admit(Lane.ROUTINE)

    checkpoint.join()
    assert spool.kept == 0


@pytest.mark.parametrize("lane", Lane)
def test_another_process_makes_room(tmp_path: Path, lane: Lane) -> None:
    """Its forwarded files are nobody's to refuse an image for: they go within a moment."""
    spool, other = _SmallSpool(tmp_path, "0"), _SmallSpool(tmp_path, "0-1")
    spool.open()
    other.open()
    _forward_one(other)
    threading.Timer(0.2, other.checkpoint).start()

    Admission(spool, replace(TERMS, processes=2)).admit(lane)

    assert other.kept == 0


def test_a_disk_that_others_fill_is_waited_for_once(tmp_path: Path) -> None:
    """An image is refused after a moment, the next at once."""
    spool, other = _SmallSpool(tmp_path, "0"), _SmallSpool(tmp_path, "0-1")
    spool.open()
    other.open()
    _forward_one(other)
    admission = Admission(spool, replace(TERMS, processes=2))

    took = []
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(SpoolFull):
            admission.admit(Lane.ROUTINE)
        took.append(time.monotonic() - began)

    assert took[0] > ROUND_SECONDS
    assert sum(took[1:]) < took[0]


def _forward_one(spool: Spool) -> None:
    incoming = spool.begin()
    incoming.write(memoryview(b"image"))
    spool.forwarded(spool.commit(incoming, replace(NOTE, size_bytes=5)))
