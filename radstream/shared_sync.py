"""Group commit of a folder: one fsync for all who wait for one."""

import os
import threading
from pathlib import Path

from radstream.spool_entry import translated


class SharedSync:
    """One fsync of a folder for all threads that wait for one: who comes while it runs waits for the next."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked = self._done = 0
        self._guard = threading.Lock()
        self._running = threading.Lock()

    def sync(self) -> None:
        """Return when an fsync that began after this call has ended; raise SpoolFull."""
        with self._guard:
            self._asked += 1
            mine = self._asked
        with self._running:
            if self._done >= mine:
                return
            with self._guard:
                covered = self._asked
            with translated("fsync of the folder"):
                fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(fd)
                finally:
                    os.close(fd)
            self._done = covered
