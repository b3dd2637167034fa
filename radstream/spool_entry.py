"""One image of the spool: its bytes as they arrive, its note, and the entry that both become."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Self

from schemas.errors import SpoolFull
from schemas.words import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What the file itself doesn't say: who sent it, to which lane and site it goes, what its hash is.

    Identifiers stand in the file and in this note; the folder is private (mode 0700).
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    calling_ae: str
    called_ae: str
    lane: Lane
    site: str
    received_at: datetime
    sha256: str
    size_bytes: int
    data_set_offset: int
    doubted: bool = False  # the machine went down: what servers answered before may be gone

    def to_json(self) -> str:
        """Write the note as the sidecar's text."""
        return json.dumps({**asdict(self), "received_at": self.received_at.isoformat()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a sidecar."""
        values = json.loads(text)
        return cls(
            **{
                **values,
                "lane": Lane(values["lane"]),
                "received_at": datetime.fromisoformat(values["received_at"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """An image that is durable in the spool."""

    path: Path
    note: Note

    @property
    def name(self) -> str:
        """The entry's own name: random, tells nothing."""
        return self.path.stem

    def open(self) -> BinaryIO:
        """Open the Part 10 object for reading; raise SpoolFull where the disk fails."""
        with translated("reading an image back"):
            return self.path.open("rb")


class Incoming:
    """An image whose bytes are arriving. Memory does not grow with it. Not thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with translated("opening a file"):
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self.size_bytes = 0

    @property
    def path(self) -> Path:
        """Where the bytes stand until the image is committed."""
        return self._path

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes; raise SpoolFull when the disk takes no more."""
        view = memoryview(data)
        with translated("writing"):
            while view:
                taken = os.write(self._fd, view)
                self.size_bytes += taken
                view = view[taken:]

    def flush(self) -> None:
        """Make the bytes durable (fsync)."""
        with translated("fsync"):
            os.fsync(self._fd)

    def close(self) -> None:
        """Close the file; the name stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        """Forget the image: no file is left."""
        self.close()
        self._path.unlink(missing_ok=True)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn a disk that is full, read-only or broken into SpoolFull: nothing durable is possible."""
    try:
        yield
    except OSError as error:
        raise SpoolFull(f"{what} failed in the spool (errno {error.errno}); see RADSTREAM_SPOOL_DIR") from error
