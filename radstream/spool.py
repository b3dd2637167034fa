"""The spool: images on the listener's own disk, durable before anything else is asked for them.

One folder a slot, held by one process (flock). An image is one file: the Part 10 object, then its note and a footer
(`spool_entry.py`), so that one fsync makes all of it durable. The file's name says what it is:

RANDOM.part    its bytes are arriving; removed at the next start
NAME.dcm       the image waits to be forwarded, and survives us
NAME.done      forwarded, kept until a checkpoint
NAME.doubt     the machine went down: waits again, and what servers answered before may be gone
NAME.torn      after a machine went down its bytes are not what its note says: its fsync had not ended, so nobody was
               told Success; kept for a person, forwarded never

NAME is its lane's rank (0 STAT, 1 routine), its receipt and a random part: the folder's own order is the order of
forwarding, and a backlog of any length needs no memory.
"""

import fcntl
import heapq
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from radstream.shared_sync import SharedSync
from radstream.spool_entry import Entry, Incoming, Note, Torn, translated
from schemas.errors import SettingInvalid, SpoolFull
from schemas.words import Lane

_PART, _WAITING, _DONE, _DOUBT, _TORN = ".part", ".dcm", ".done", ".doubt", ".torn"
_WAIT = (_WAITING, _DOUBT)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PRIVATE = 0o700
_STAT, _ROUTINE = "0", "1"
_MICROSECONDS = 1_000_000
_TIME_DIGITS = 14  # hexadecimal: microseconds of UTC, enough for two thousand years
#: How old an answer of the file system about its free space may be (seconds).
_USED_SECONDS = 0.05


class Spool:
    """The images of one slot. Thread-safe."""

    def __init__(self, root: Path, slot: str, sync: Callable[[], None] = os.sync) -> None:
        self._folder = root / slot
        self._slot = slot
        self._lock_fd = -1
        self._sync = sync
        self._guard = threading.Lock()
        self._checkpointing = threading.Lock()
        self._depth = 0
        self._done: list[str] = []
        self._used = (0.0, -_USED_SECONDS)
        self._folder_sync = SharedSync(self._folder)

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

    def close(self) -> None:
        """Give the slot back."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def begin(self) -> Incoming:
        """Open a file for an image that is about to arrive; raise SpoolFull."""
        return Incoming(f"{self._folder}/{uuid4().hex}{_PART}")

    def commit(self, incoming: Incoming, note: Note) -> Entry:
        """Make an image durable; it is ours from here on, whatever is killed. Raises SpoolFull, and nothing is kept.

        1. write its note behind its bytes
        2. rename it: from here on it is an entry
        3. fsync the file: bytes and note
        4. fsync the folder; one call serves all images that are ready for it
        """
        path = f"{self._folder}/{_name(note)}{_WAITING}"
        try:
            incoming.seal(note)
            incoming.rename(path)
            incoming.flush()
            incoming.close()
            self._folder_sync.sync()
        except SpoolFull:
            incoming.discard()
            raise
        with self._guard:
            self._depth += 1
        return Entry(Path(path), note)

    def entries(
        self, most: int | None = None, without: Collection[str] = (), before: datetime | None = None
    ) -> list[Entry]:
        """List what waits, STAT first, then by receipt: all of it, or the first `most`.

        `without`: names to leave out; `before`: leave out what was received later.
        """
        limit = _digits(before) if before is not None else "g"  # above every digit
        with translated("listing"):
            names = [
                name
                for name in self._names(*_WAIT)
                if _received(name) <= limit and name.partition(".")[0] not in without
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
            for path in done:
                Path(path).unlink(missing_ok=True)
            with self._guard:
                self._used = (0.0, -_USED_SECONDS)
            return len(done)

    def take_over(self, other: "Spool") -> int:
        """Move what another slot holds into this one; give the number of images. The other must be open here too.

        Each image is one rename: at every instant it is in exactly one of the two.
        """
        moved = 0
        with translated(f"adopting {other.folder}"):
            for name in sorted(other._names(*_WAIT, _DONE)):  # noqa: SLF001 - one of our own class
                path = f"{self._folder}/{name}"
                (other.folder / name).rename(path)
                moved += 1
                with self._guard:
                    if name.endswith(_DONE):
                        self._done.append(path)
                    else:
                        self._depth += 1
        self._folder_sync.sync()
        other._folder_sync.sync()  # noqa: SLF001 - as above
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
        """How full the spool's file system is, as `df` counts (per cent); full when it can't be asked."""
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
        return 100.0 * used / max(1, used + found.f_bavail)

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
            for name in list(self._names(_WAITING, _DONE)):
                path = self._folder / name
                path.rename(path.with_suffix(_DOUBT))
        self._done = [f"{self._folder}/{name}" for name in sorted(self._names(_DONE))]
        self._depth = sum(1 for _ in self._names(*_WAIT))
        with boot.open("wb") as file:
            file.write(now.encode())
            file.flush()
            os.fsync(file.fileno())
        self._folder_sync.sync()


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


def received_at(name: str) -> datetime:
    """Give the receipt that stands in an entry's name.

    >>> received_at("1" + "00000000000000" + "ab").year
    1970
    """
    return datetime.fromtimestamp(int(_received(name), 16) / _MICROSECONDS, UTC)


def left_behind(root: Path, ours: Collection[str]) -> list[str]:
    """List the slots other than ours that hold images; whether somebody holds them, `Spool.open` finds out."""
    found = {path.parent.name for kind in (*_WAIT, _DONE) for path in root.glob(f"*/*{kind}")}
    return sorted(found - set(ours))


def _name(note: Note) -> str:
    rank = _STAT if note.lane is Lane.STAT else _ROUTINE
    return f"{rank}{_digits(note.received_at)}{os.urandom(4).hex()}"


def _digits(at: datetime) -> str:
    return f"{int(at.timestamp() * _MICROSECONDS):0{_TIME_DIGITS}x}"


def _received(name: str) -> str:
    return name[1 : 1 + _TIME_DIGITS]
