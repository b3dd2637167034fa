"""The spool on a disk of its own that is full, read-only, or stands still: right answers, and no restart afterwards."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dicom_listener.standard.statuses import StoreStatus
from tests.integration.listener.conftest import Listening
from tests.integration.listener.films import Film, film
from tests.integration.listener.raw_scu import ACCEPT, VERIFICATION, RawScu
from tests.running import until

pytestmark = pytest.mark.stack

DISK_MIB = 48
MIB = 1024 * 1024
#: Half a megabyte.
LARGE = {"Rows": 512, "Columns": 512, "PixelData": bytes(512 * 1024)}
#: More than ext4 keeps back for itself on a disk of this size, which a direct write may have.
LARGER = {"Rows": 2048, "Columns": 2048, "PixelData": bytes(2048 * 2048)}
STALL_SECONDS = 2.0


@dataclass(frozen=True)
class Disk:
    """A small file system, and what may happen to it."""

    path: Path

    @property
    def ballast(self) -> Path:
        """A file that takes space away."""
        return self.path / "ballast"

    def fill(self, percent: float) -> None:
        """Make the file system as full as this, as `df` counts (per cent)."""
        self.ballast.unlink(missing_ok=True)
        found = os.statvfs(self.path)
        used = found.f_blocks - found.f_bfree
        wanted = (used + found.f_bavail) * percent / 100 - used
        with self.ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, int(wanted) * found.f_frsize)

    def fill_up(self) -> None:
        """Leave nothing at all."""
        with suppress(OSError), self.ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    @contextmanager
    def read_only(self, folder: Path) -> Iterator[None]:
        """Lay the same folder over itself, read-only: whoever opens by its path gets EROFS."""
        _root("mount", "--bind", str(folder), str(folder))
        _root("mount", "-o", "remount,bind,ro", str(folder))
        try:
            yield
        finally:
            _root("umount", str(folder))

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Let every write and every fsync wait, as a disk that recovers from an error does."""
        _root("fsfreeze", "-f", str(self.path))
        try:
            yield
        finally:
            _root("fsfreeze", "-u", str(self.path))


def _root(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mount a small ext4 image."""
    image, path = tmp_path / "disk.img", tmp_path / "disk"
    image.touch()
    os.truncate(image, DISK_MIB * MIB)
    path.mkdir()
    try:
        _root("mkfs.ext4", "-q", "-m", "0", str(image))
        _root("mount", "-o", "loop", str(image), str(path))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: it needs root and loop devices ({error})")
    yield Disk(path)
    _root("umount", str(path))


@pytest.fixture
def on_disk(disk: Disk, listen: Callable[..., Listening]) -> Callable[..., Listening]:
    """Give a function that starts a listener whose spool lies on the small disk."""

    def begin(**environment: str) -> Listening:
        spool = disk.path / "spool"
        return replace(listen(RADSTREAM_SPOOL_DIR=str(spool), **environment), spool=spool)

    return begin


def in_the_log_once(listening: Listening, one: Film) -> bool:
    """Say whether the log has one event of an image."""
    return len(listening.events(one)) == 1


def test_a_full_disk_is_told_and_space_is_enough_to_go_on(disk: Disk, on_disk: Callable[..., Listening]) -> None:
    """0xA700 and nothing left of the image; with space again Success, in the same process."""
    listening = on_disk(RADSTREAM_SPOOL_SHED_PERCENT="100", RADSTREAM_SPOOL_REFUSE_PERCENT="100")
    pid, before, refused, after = listening.service.pid, film(), film(), film()
    assert listening.send(before) == StoreStatus.SUCCESS

    disk.fill_up()
    status = listening.send(refused, refused.data(**LARGER))
    left = listening.waiting()
    disk.ballast.unlink()

    assert status == StoreStatus.OUT_OF_RESOURCES
    assert not left
    assert listening.send(after) == StoreStatus.SUCCESS
    listening.wait_empty()
    assert in_the_log_once(listening, before)
    assert in_the_log_once(listening, after)
    assert not listening.rows(refused)
    assert listening.service.pid == pid


def test_a_read_only_disk_is_told(disk: Disk, on_disk: Callable[..., Listening]) -> None:
    """0xA700 while the spool can't be written; Success, in the same process, when it can."""
    listening = on_disk(RADSTREAM_LISTENER_PROCESSES="1")
    pid, refused, after = listening.service.pid, film(), film()
    (slot,) = (one for one in listening.spool.iterdir() if one.is_dir())

    with disk.read_only(slot):
        status = listening.send(refused)

    assert status == StoreStatus.OUT_OF_RESOURCES
    assert listening.send(after) == StoreStatus.SUCCESS
    listening.wait_empty()
    assert in_the_log_once(listening, after)
    assert not listening.rows(refused)
    assert listening.service.pid == pid


def test_a_disk_that_stands_still_delays_answers_and_nothing_else(
    disk: Disk, on_disk: Callable[..., Listening]
) -> None:
    """No Success without an fsync, even under policy spool; C-ECHO's association stands; all are stored later."""
    listening = on_disk(RADSTREAM_ACK_POLICY="spool", RADSTREAM_SPOOL_CHECKPOINT_SECONDS="600")
    listening.send(film())
    films = [film() for _ in range(4)]
    statuses: list[int] = []
    senders = [threading.Thread(target=lambda one=one: statuses.append(listening.send(one))) for one in films]

    with disk.standing_still():
        for sender in senders:
            sender.start()
        with RawScu(listening.port) as scu:
            echo = scu.associate(VERIFICATION).kind
        threading.Event().wait(STALL_SECONDS)
        answered = list(statuses)
    for sender in senders:
        sender.join(60)

    assert echo == ACCEPT
    assert answered == []
    assert statuses == [StoreStatus.SUCCESS] * len(films)
    listening.wait_empty()
    assert len({event.event_id for event in listening.events(*films)}) == len(listening.events(*films)) == len(films)


def test_each_watermark_is_of_the_disk(disk: Disk, on_disk: Callable[..., Listening]) -> None:
    """Forwarded files go first; over the first mark STAT alone is taken, over the second none; below it all again."""
    listening = on_disk(
        RADSTREAM_SPOOL_SHED_PERCENT="60",
        RADSTREAM_SPOOL_REFUSE_PERCENT="80",
        RADSTREAM_SPOOL_CHECKPOINT_SECONDS="600",
    )

    def routine() -> int:
        one = film()
        return listening.send(one, one.data(**LARGE))

    def stat() -> int:
        return listening.send(film(), called_ae="RADSTREAM_STAT")

    def refused(sent: Callable[[], int], percent: float) -> bool:
        """Fill the disk anew: forwarded files that are removed meanwhile give room, and what it says is believed."""
        disk.fill(percent)
        return sent() == StoreStatus.OUT_OF_RESOURCES

    disk.fill(50)
    assert {routine() for _ in range(20)} == {StoreStatus.SUCCESS}  # 10 MiB: forwarded files make room for them
    until(lambda: refused(routine, 70), 10, "taken over the first mark")
    assert stat() == StoreStatus.SUCCESS
    until(lambda: refused(stat, 90), 10, "taken over the second mark")
    assert routine() == StoreStatus.OUT_OF_RESOURCES
    disk.ballast.unlink()
    until(lambda: routine() == StoreStatus.SUCCESS, 10, "refused though there is room")
