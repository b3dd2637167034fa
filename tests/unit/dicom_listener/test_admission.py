"""Who is let in when the spool's disk fills."""

import threading
from datetime import UTC, datetime
from pathlib import Path

from dicom_listener.board import Board
from dicom_listener.crash_points import Step
from dicom_listener.reception import Reception
from dicom_listener.terms import Terms
from dicom_listener.yielding import Yielding
from radstream.crash_points import CrashPoints
from radstream.spool import Spool
from radstream.spool_entry import Note
from schemas.words import Lane

TERMS = Terms(
    policy="published",
    deadline_seconds=1.0,
    shed_percent=80.0,
    refuse_percent=90.0,
    routes=(),
    lenient_syntaxes=None,
)


class _Forwarder:
    """As much of a forwarder as admission asks."""

    def __init__(self, spool: Spool) -> None:
        self.checkpoint = spool.checkpoint


class _SmallSpool(Spool):
    """A spool on a disk that is full while forwarded files lie on it."""

    def used_percent(self) -> float:
        return 95.0 if list(self._folder.glob("*.done")) else 10.0


def test_an_image_that_comes_during_a_checkpoint_waits_for_its_room(tmp_path: Path) -> None:
    """The files of a checkpoint under way are about to go: refusing for them would lose time for nothing."""
    syncing, synced = threading.Event(), threading.Event()

    def sync() -> None:
        syncing.set()
        assert synced.wait(30)

    spool = _SmallSpool(tmp_path, "0", sync)
    spool.open()
    _forward_one(spool)
    reception = Reception(
        spool,
        _Forwarder(spool),  # type: ignore[arg-type]
        TERMS,
        CrashPoints(Step, "", tmp_path / "died"),
        Yielding(Board.made(1), yields=False, is_filling=lambda: False),
    )
    checkpoint = threading.Thread(target=spool.checkpoint)
    checkpoint.start()
    assert syncing.wait(30)
    threading.Timer(0.2, synced.set).start()

    reception.admit(Lane.ROUTINE)

    checkpoint.join()
    assert spool.kept == 0


def _forward_one(spool: Spool) -> None:
    incoming = spool.begin()
    incoming.write(memoryview(b"image"))
    note = Note(
        sop_instance_uid="1.2.3",
        sop_class_uid="1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae="CT",
        called_ae="RADSTREAM",
        lane=Lane.ROUTINE,
        site="CT",
        received_at=datetime(2026, 11, 21, tzinfo=UTC),
        sha256="0" * 64,
        size_bytes=5,
        data_set_offset=0,
    )
    spool.forwarded(spool.commit(incoming, note))
