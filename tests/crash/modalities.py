"""Modalities with DCMTK: each sends its images again until they are acknowledged, save the few that it gives up."""

import random
import re
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from dicom_listener.standard.part10 import preamble_and_meta
from tests.crash.audit import Auditor
from tests.integration.listener.films import Film
from tests.integration.listener.raw_scu import CHEST, EXPLICIT

#: A PACS tries again after a while.
AGAIN_SECONDS = 0.3
LARGEST_BATCH = 8
#: Of a hundred: images given up after a failure, images sent again though acknowledged, studies that are STAT.
GIVEN_UP, REPEATED, STAT = 3, 10, 10
#: Of a hundred, images of two megabytes: they are on their way for longer, and have whole pieces to be written aside.
LARGE = 5
LARGE_SIDE = 1024
TIMEOUTS = ("-to", "5", "-ta", "20", "-td", "90")
COMMAND_SECONDS = 240.0

_STORESCU = re.compile(r"Sending file: (\S+)\n(?:(?!I: Sending file).*\n)*?I: Received Store Response \(Success\)")
_DCMSEND = re.compile(r"Filename +: (\S+)\n(?:(?!Filename).*\n)*?DIMSE Status +: 0x0000")


@dataclass(frozen=True, slots=True)
class Image:
    """A file to be sent, and the event that it becomes."""

    path: Path
    event: UUID
    called_ae: str


class Modality:
    """One sender, on a thread of its own, one association at a time."""

    def __init__(self, name: str, folder: Path, auditor: Auditor, seed: int) -> None:
        self._ae = name
        self._folder = folder
        self._auditor = auditor
        self._rng = random.Random(seed)  # noqa: S311 - no secret
        self._port = 0
        self._mine: list[Image] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sent: set[UUID] = set()
        self.acknowledged: set[UUID] = set()
        self.given_up = 0

    def start(self, port: int) -> None:
        """Begin to send."""
        self._port = port
        self._thread.start()

    def end(self) -> None:
        """Make no new images; go on until the last is acknowledged."""
        self._ending.set()

    @property
    def finished(self) -> bool:
        """Whether nothing waits."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        last: list[Image] = []
        while self._mine or not self._ending.is_set():
            while len(self._mine) < self._rng.randint(1, LARGEST_BATCH) and not self._ending.is_set():
                self._mine.append(self._image())
            called_ae = self._mine[0].called_ae
            batch = [one for one in self._mine if one.called_ae == called_ae]
            repeats = [one for one in last if one.called_ae == called_ae and self._chance(REPEATED)]
            self.sent |= {one.event for one in batch}
            taken = self._send([*repeats, *batch], called_ae)
            self.acknowledged |= {one.event for one in taken}
            self._settle(batch, taken)
            for one in set(last) - set(taken):
                one.path.unlink()
            last = taken
            self._ending.wait(AGAIN_SECONDS * (1 if len(taken) < len(batch) else self._rng.random()))

    def _settle(self, batch: list[Image], taken: list[Image]) -> None:
        failed = [one for one in batch if one not in taken]
        lost = [one for one in failed if self._chance(GIVEN_UP)]
        self.given_up += len(lost)
        for one in lost:
            one.path.unlink()
        self._mine = [one for one in self._mine if one not in taken and one not in lost]

    def _image(self) -> Image:
        number = self._rng.getrandbits(64)
        film = Film(uid=f"1.2.826.0.1.3680043.8.498.7.{number}", study_uid=f"1.2.826.0.1.3680043.8.498.6.{number}")
        more = {}
        if self._chance(LARGE):
            more = {"Rows": LARGE_SIDE, "Columns": LARGE_SIDE, "PixelData": self._rng.randbytes(2 * LARGE_SIDE**2)}
        data = film.data(SeriesDescription=str(number), **more)
        path = self._folder / f"{self._ae}-{number}.dcm"
        path.write_bytes(preamble_and_meta(CHEST, film.uid, EXPLICIT) + data)
        called_ae = "RADSTREAM_STAT" if self._chance(STAT) else "RADSTREAM"
        return Image(path, self._auditor.event_of(film.uid, EXPLICIT, data), called_ae)

    def _send(self, batch: list[Image], called_ae: str) -> list[Image]:
        """Send files by one of DCMTK's two senders; give those that it reports as Success."""
        send = self._rng.choice([self._storescu, self._dcmsend])
        paths = send(["-aet", self._ae, "-aec", called_ae, *TIMEOUTS], [str(one.path) for one in batch])
        return [one for one in batch if str(one.path) in paths]

    def _storescu(self, options: list[str], files: list[str]) -> set[str]:
        done = _run(["storescu", "-v", *options, "127.0.0.1", str(self._port), *files])
        return set(_STORESCU.findall(done))

    def _dcmsend(self, options: list[str], files: list[str]) -> set[str]:
        report = self._folder / f"report-{id(self)}"
        report.unlink(missing_ok=True)
        _run(["dcmsend", "-v", *options, "+crf", str(report), "127.0.0.1", str(self._port), *files])
        return set(_DCMSEND.findall(report.read_text() if report.exists() else ""))

    def _chance(self, of_a_hundred: int) -> bool:
        return self._rng.randrange(100) < of_a_hundred


@dataclass(frozen=True, slots=True)
class Modalities:
    """All senders of a run; they share a calling AE, by which the auditor knows their images."""

    all: tuple[Modality, ...]

    @classmethod
    def start(cls, count: int, make: Callable[[int], Modality], port: int) -> "Modalities":
        """Begin to send."""
        made = cls(tuple(make(number) for number in range(count)))
        for one in made.all:
            one.start(port)
        return made

    @property
    def sent(self) -> set[UUID]:
        """The events of everything that was tried at least once."""
        return set().union(*(one.sent for one in self.all))

    @property
    def acknowledged(self) -> set[UUID]:
        """The events of every image that got Success at least once."""
        return set().union(*(one.acknowledged for one in self.all))

    @property
    def finished(self) -> bool:
        """Whether every sender has ended."""
        return all(one.finished for one in self.all)

    def end(self) -> None:
        """Make no new images."""
        for one in self.all:
            one.end()


def _run(command: list[str]) -> str:
    """Run a program; give what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS)
    return done.stdout + done.stderr
