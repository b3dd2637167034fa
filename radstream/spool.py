"""The spool: images on the listener's own disk, durable before anything else is asked for them.

One folder a slot, held by one process (flock). An image NAME passes through these files:

NAME.part    its bytes are arriving; removed at the next start
NAME.dcm     the whole Part 10 object, fsynced
NAME.json    beside it: the image waits to be forwarded, and survives us
NAME.done    instead of NAME.json: forwarded, kept until a checkpoint
"""

import fcntl
import os
import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from radstream.spool_entry import Entry, Incoming, Note, translated
from schemas.errors import SettingInvalid, SpoolFull
from schemas.words import Lane

_PART, _DATA, _WAITING, _DONE, _NEW = ".part", ".dcm", ".json", ".done", ".new"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PRIVATE = 0o700


class Spool:
    """The images of one slot. Thread-safe."""

    def __init__(self, root: Path, slot: str) -> None:
        self._folder = root / slot
        self._slot = slot
        self._lock_fd = -1
        self._guard = threading.Lock()
        self._waiting: dict[str, datetime] = {}
        self._done: list[Path] = []

    def open(self) -> None:
        """Take the slot: lock it, remove what was arriving, take back what a power cut may have cost others.

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
        return Incoming(self._folder / f"{uuid4().hex}{_PART}")

    def commit(self, incoming: Incoming, note: Note) -> Entry:
        """Make an image durable; it is ours from here on, whatever is killed. Raises SpoolFull, and nothing is kept.

        1. fsync its bytes
        2. write and fsync its note
        3. rename both, the note last: from here on it is an entry
        4. fsync the folder
        """
        data = incoming.path.with_suffix(_DATA)
        new = data.with_suffix(_NEW)
        try:
            incoming.flush()
            incoming.close()
            with translated("committing"):
                _write_synced(new, note.to_json().encode())
                incoming.path.rename(data)
                new.rename(data.with_suffix(_WAITING))
                _sync_folder(self._folder)
        except SpoolFull:
            incoming.discard()
            for path in (new, data.with_suffix(_WAITING), data):
                path.unlink(missing_ok=True)
            raise
        with self._guard:
            self._waiting[data.stem] = note.received_at
        return Entry(data, note)

    def entries(self) -> list[Entry]:
        """List what waits, STAT first, then by receipt."""
        with translated("listing"):
            found = [
                Entry(path.with_suffix(_DATA), Note.from_json(path.read_text("utf-8")))
                for path in self._folder.glob(f"*{_WAITING}")
            ]
        return sorted(found, key=lambda entry: (entry.note.lane is not Lane.STAT, entry.note.received_at))

    def forwarded(self, entry: Entry) -> None:
        """Mark an image as forwarded: one rename. Its file stays until a checkpoint."""
        done = entry.path.with_suffix(_DONE)
        with translated("marking as forwarded"):
            entry.path.with_suffix(_WAITING).rename(done)
        with self._guard:
            self._waiting.pop(entry.name, None)
            self._done.append(done)

    def checkpoint(self) -> int:
        """Sync the machine's file systems, then remove what was forwarded before; give the number removed (files).

        Local servers don't fsync what they answer; a sync of the whole machine makes good for them.
        """
        with self._guard:
            done, self._done = self._done, []
        if not done:
            return 0
        os.sync()
        for path in done:
            path.with_suffix(_DATA).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        return len(done)

    @property
    def depth(self) -> int:
        """How many images wait to be forwarded (count)."""
        return len(self._waiting)

    @property
    def kept(self) -> int:
        """How many forwarded images wait for a checkpoint (count)."""
        return len(self._done)

    def oldest(self) -> datetime | None:
        """Receipt of the image that waits longest."""
        with self._guard:
            return min(self._waiting.values(), default=None)

    def used_percent(self) -> float:
        """How full the spool's file system is, as `df` counts (per cent); full when it can't be asked."""
        try:
            found = os.statvfs(self._folder)
        except OSError:
            return 100.0
        used = found.f_blocks - found.f_bfree
        return 100.0 * used / max(1, used + found.f_bavail)

    def _sweep(self) -> None:
        boot = self._folder / "boot"
        now = _BOOT_ID.read_text("ascii").strip() if _BOOT_ID.exists() else ""
        machine_went_down = boot.exists() and boot.read_text("ascii") != now
        for path in [*self._folder.glob(f"*{_PART}"), *self._folder.glob(f"*{_NEW}")]:
            path.unlink()
        for data in self._folder.glob(f"*{_DATA}"):
            if not data.with_suffix(_WAITING).exists() and not data.with_suffix(_DONE).exists():
                data.unlink()
        for path in [*self._folder.glob(f"*{_WAITING}"), *self._folder.glob(f"*{_DONE}")]:
            if not path.with_suffix(_DATA).exists():
                path.unlink()
        if machine_went_down:
            for path in [*self._folder.glob(f"*{_WAITING}"), *self._folder.glob(f"*{_DONE}")]:
                _doubt(path)
        self._done = sorted(self._folder.glob(f"*{_DONE}"))
        for path in self._folder.glob(f"*{_WAITING}"):
            self._waiting[path.stem] = Note.from_json(path.read_text("utf-8")).received_at
        _write_synced(boot, now.encode())
        _sync_folder(self._folder)


def waiting(root: Path) -> list[Note]:
    """List the notes of every image that waits in any slot, without touching it: for those who only look.

    What comes and goes meanwhile may be missed; a folder that is not there is an empty spool.
    """
    found = []
    for sidecar in root.glob(f"*/*{_WAITING}"):
        try:
            found.append(Note.from_json(sidecar.read_text("utf-8")))
        except FileNotFoundError:
            continue
    return found


def _doubt(sidecar: Path) -> None:
    note = replace(Note.from_json(sidecar.read_text("utf-8")), doubted=True)
    _write_synced(sidecar.with_suffix(_NEW), note.to_json().encode())
    sidecar.with_suffix(_NEW).rename(sidecar.with_suffix(_WAITING))
    sidecar.with_suffix(_DONE).unlink(missing_ok=True)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
