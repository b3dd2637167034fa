"""The spool: images on the listener's own disk, durable before anything else is asked for them.

One folder a slot, held by one process (flock). Images share segments (`segments.py`), whose blocks are there before
they arrive. An image is a record in a segment, the Part 10 object and its note (`entry.py`), so that one
fdatasync makes all of it durable, and a name: a hard link to its segment that says where the record stands
(`names.py`) and what it is:

RANDOM.part    its bytes are arriving; removed at the next start
NAME.dcm       the image waits to be forwarded, and survives us
NAME.done      forwarded, kept until a checkpoint
NAME.doubt     the machine went down: waits again, and what servers answered before may be gone
NAME.torn      after a machine went down its bytes are not what its note says: its fdatasync had not ended, so nobody
               was told Success; kept for a person, forwarded never

Names sort in the order of forwarding, and a backlog of any length needs no memory. They are never synced: after a kill
the kernel has them, after the machine went down the records say which there must be (`spool_recovery.py`). Files of
releases before segments are entries too.
"""

import fcntl
import heapq
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from radstream.spool.aside import Aside
from radstream.spool.entry import Entry, Note, Torn, translated
from radstream.spool.incoming import Hasher, Incoming
from radstream.spool.names import digits_of, name_of, received
from radstream.spool.recovery import is_stale, name_lost
from radstream.spool.segment import SEGMENT, sync_folder
from radstream.spool.segments import Segments
from schemas.errors import SettingInvalid, SpoolFull

_PART, _WAITING, _DONE, _DOUBT, _TORN = ".part", ".dcm", ".done", ".doubt", ".torn"
_WAIT = (_WAITING, _DOUBT)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PRIVATE = 0o700
#: How old an answer of the file system about its free space may be (seconds).
_USED_SECONDS = 0.05


class Spool:
    """The images of one slot. Thread-safe."""

    def __init__(self, root: Path, slot: str, sync: Callable[[], None] = os.sync, spare_bytes: int = 0) -> None:
        """`spare_bytes`: how much of the disk `prepare` allocates for images to come."""
        self._folder = root / slot
        self._slot = slot
        self._lock_fd = -1
        self._sync = sync
        self._guard = threading.Lock()
        self._checkpointing = threading.Lock()
        self._depth = 0
        self._done: list[str] = []
        self._used = (0.0, -_USED_SECONDS)
        self._segments = Segments(self._folder, spare_bytes)

    @property
    def folder(self) -> Path:
        """Where the images lie."""
        return self._folder

    def open(self) -> None:
        """Take the slot: lock it, remove what was arriving, doubt everything where the machine went down.

        Raises SettingInvalid when another process holds the slot, SpoolFull when the folder can't be used.
        """
        with translated(f"opening {self._folder}"):
            self._folder.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
            self._lock_fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock_fd)
            raise SettingInvalid(
                f"RADSTREAM_LISTENER_SLOT={self._slot}: another listener holds {self._folder}; "
                "stop it or give this one another slot"
            ) from error
        with translated("sweeping"):
            self._sweep()
            self._segments.open()

    def prepare(self) -> None:
        """Allocate what images to come will need; takes its time, and receiving needs not wait for it."""
        self._segments.prepare()

    def close(self) -> None:
        """Give the slot back."""
        self._segments.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def begin(
        self, head: bytes = b"", hasher: Hasher | None = None, *, holds: bool = False, aside: Aside | None = None
    ) -> Incoming:
        """Take room for an image that is about to arrive; raise SpoolFull.

        `head`: what stands before its data set, which the hasher does not see; `holds`: keep it in memory as well,
        where it has room there, until its `held` is freed; `aside`: who hashes and writes its whole pieces.
        """
        part = f"{self._folder}/{uuid4().hex}{_PART}"
        return Incoming(self._segments, part, head, hasher, holds=holds, aside=aside)

    def commit(self, incoming: Incoming, note: Note) -> Entry:
        """Make an image durable; it is ours from here on, whatever is killed. Raises SpoolFull, and nothing is kept.

        1. write its note behind its bytes
        2. fdatasync the segment: bytes and note
        3. rename it: from here on it is an entry
        """
        try:
            place = incoming.seal(note)
            incoming.flush()
            path = f"{self._folder}/{name_of(note.lane, note.received_at, place)}{_WAITING}"
            incoming.rename(path)
        except SpoolFull:
            incoming.discard()
            raise
        incoming.close(place)
        with self._guard:
            self._depth += 1
        return Entry(Path(path), note)

    def entries(
        self, most: int | None = None, without: Collection[str] = (), before: datetime | None = None
    ) -> list[Entry]:
        """List what waits, STAT first, then by receipt: all of it, or the first `most`.

        `without`: names to leave out; `before`: leave out what was received later.
        """
        limit = digits_of(before) if before is not None else "g"  # above every digit
        with translated("listing"):
            names = [
                name
                for name in self._names(*_WAIT)
                if received(name) <= limit and name.partition(".")[0] not in without
            ]
            names = sorted(names) if most is None else heapq.nsmallest(most, names)
            return [entry for name in names if (entry := self._entry(name)) is not None]

    def forwarded(self, entry: Entry) -> None:
        """Mark an image as forwarded: one rename. Its file stays until a checkpoint."""
        done = f"{self._folder}/{entry.name}{_DONE}"
        with translated("marking as forwarded"):
            os.rename(entry.path, done)  # noqa: PTH104 - an image's path is a plain string here: it is twice as fast
        with self._guard:
            self._depth -= 1
            self._done.append(done)

    def torn(self, entry: Entry) -> None:
        """Put an image aside whose bytes are not what its note says."""
        self._tear(entry.path)
        with self._guard:
            self._depth -= 1

    def checkpoint(self) -> int:
        """Sync the machine's file systems, then remove what was forwarded before; give the number removed (files).

        Local servers don't fsync what they answer; a sync of the whole machine makes good for them. One at a time:
        who asks meanwhile waits for the room that the one under way makes.
        """
        with self._checkpointing:
            with self._guard:
                done, self._done = self._done, []
            if not done:
                return 0
            self._sync()
            self._segments.purge(done)
            with self._guard:
                self._used = (0.0, -_USED_SECONDS)
            return len(done)

    def take_over(self, other: "Spool") -> int:
        """Move what another slot holds into this one; give the number of images. The other must be open here too.

        Each image is one rename: at every instant it is in exactly one of the two. Segments go first: they are then in
        the folder of somebody who uses them again, and an image's name leads to its segment wherever that lies.
        """
        moved = 0
        with translated(f"adopting {other.folder}"):
            self._segments.adopt(other._segments)  # noqa: SLF001 - one of our own class
            for name in sorted(other._names(*_WAIT, _DONE)):  # noqa: SLF001 - one of our own class
                path = f"{self._folder}/{name}"
                (other.folder / name).rename(path)
                moved += 1
                with self._guard:
                    if name.endswith(_DONE):
                        self._done.append(path)
                    else:
                        self._depth += 1
            sync_folder(self._folder)
            sync_folder(other.folder)
        return moved

    @property
    def depth(self) -> int:
        """How many images wait to be forwarded (count)."""
        return self._depth

    @property
    def kept(self) -> int:
        """How many forwarded images wait for a checkpoint (count)."""
        return len(self._done)

    def used_percent(self) -> float:
        """How full the spool's file system is (per cent); full when it can't be asked.

        As `df` counts, but what is kept for images to come counts as free.
        """
        used, asked = self._used
        now = time.monotonic()
        if now - asked >= _USED_SECONDS:
            used = self._ask_used()
            self._used = (used, now)
        return used

    def _ask_used(self) -> float:
        try:
            found = os.statvfs(self._folder)
        except OSError:
            return 100.0
        used = found.f_blocks - found.f_bfree
        total = used + found.f_bavail
        return 100.0 * max(0.0, used - self._segments.unused_bytes / found.f_frsize) / max(1, total)

    def _names(self, *kinds: str) -> Iterator[str]:
        with os.scandir(self._folder) as found:
            yield from (one.name for one in found if one.name.endswith(kinds))

    def _entry(self, name: str) -> Entry | None:
        path = self._folder / name
        try:
            note = Note.of_file(path, doubted=name.endswith(_DOUBT))
        except FileNotFoundError:
            return None  # forwarded meanwhile
        except Torn:
            self._tear(path)
            with self._guard:
                self._depth -= 1
            return None
        return Entry(path, note)

    def _tear(self, path: Path) -> None:
        with translated("putting aside"):
            path.rename(path.with_suffix(_TORN))

    def _sweep(self) -> None:
        boot = self._folder / "boot"
        now = _BOOT_ID.read_text("ascii").strip() if _BOOT_ID.exists() else ""
        machine_went_down = boot.exists() and boot.read_text("ascii") != now
        for name in list(self._names(_PART)):
            (self._folder / name).unlink()
        if machine_went_down:
            self._doubt()
        self._done = [f"{self._folder}/{name}" for name in sorted(self._names(_DONE))]
        self._depth = sum(1 for _ in self._names(*_WAIT))
        with boot.open("wb") as file:
            file.write(now.encode())
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self._folder)

    def _doubt(self) -> None:
        """Have everything that may not be safe wait again."""
        for name in list(self._names(_WAITING, _DONE, _DOUBT)):
            path = self._folder / name
            if is_stale(path):
                path.unlink()
            elif not name.endswith(_DOUBT):
                path.rename(path.with_suffix(_DOUBT))
        name_lost(self._folder, self._names(_DOUBT, _TORN), _DOUBT)


def waiting(root: Path) -> list[Note]:
    """List the notes of every image that waits in any slot, without touching it: for those who only look.

    What comes and goes meanwhile may be missed; a folder that is not there is an empty spool.
    """
    found = []
    for path in (path for kind in _WAIT for path in root.glob(f"*/*{kind}")):
        try:
            found.append(Note.of_file(path, doubted=path.suffix == _DOUBT))
        except (FileNotFoundError, Torn):
            continue
    return found


def left_behind(root: Path, ours: Collection[str]) -> list[str]:
    """List the slots other than ours that hold images or room for some; who holds them, `Spool.open` finds out."""
    found = {path.parent.name for kind in (*_WAIT, _DONE, SEGMENT) for path in root.glob(f"*/*{kind}")}
    return sorted(found - set(ours))
