"""DCMTK's senders, started together, each over its own files; their own logs say when each answer came.

The clock starts at the first request for an association, so reading and checking the files beforehand does not count.
An answer's time is from the C-STORE request's first byte to its response, as the modality sees it.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from radstream.settings import process_environment

#: Debian's DCMTK leaves Nagle's algorithm on; with delayed ACKs it would cost 40 ms an image with any receiver.
ENVIRONMENT = {"TCP_NODELAY": "1"}
#: As modalities are installed: what the sender's own tuning leaves to the receiver.
AS_INSTALLED: Mapping[str, str] = {}

LOG_CONFIG = """log4cplus.rootLogger = INFO, file
log4cplus.appender.file = log4cplus::FileAppender
log4cplus.appender.file.File = ${LOGFILE}
log4cplus.appender.file.ImmediateFlush = false
log4cplus.appender.file.layout = log4cplus::PatternLayout
log4cplus.appender.file.layout.ConversionPattern = %D{%s} %D{%Q} %m%n
"""
_LINE = re.compile(r"^(\d+) ([\d.]+) (Requesting Association|Sending (?:C-STORE|Store) Request|Received .*)")
_LONGEST_SECONDS = 300.0

DCMSEND = ("dcmsend", "--no-uid-checks", "--no-halt")
#: dcmsend speaks no TLS in this release; storescu does.
STORESCU_TLS = ("storescu", "--required", "--no-halt", "--anonymous-tls", "--ignore-peer-cert", "--max-pdu", "131072")


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a sending."""

    seconds: float  # from the first association's request to the last answer
    answers_ms: list[float]  # of the images that were answered Success
    failed: int  # images without Success

    @property
    def images_per_second(self) -> float:
        """Images answered Success a second."""
        return len(self.answers_ms) / self.seconds


@dataclass(frozen=True, slots=True)
class Sender:
    """A command, its environment, and how many of it run side by side."""

    command: Sequence[str]
    associations: int
    environment: Mapping[str, str]

    def send(self, files: Sequence[Path], port: int) -> Sent:
        """Send all files; raise RuntimeError with the sender's words when nothing was answered."""
        shares = [files[number :: self.associations] for number in range(self.associations)]
        with tempfile.TemporaryDirectory(prefix="rs-send-") as name:
            folder = Path(name)
            (folder / "log.cfg").write_text(LOG_CONFIG)
            started = [self._start(folder, number, share, port) for number, share in enumerate(shares) if share]
            for one in started:
                one.wait(_LONGEST_SECONDS)
            logs = [path.read_text(errors="replace") for path in sorted(folder.glob("*.log"))]
        sent = read_logs(logs, len(files))
        if not sent.answers_ms:
            raise RuntimeError(f"{self.command[0]} sent nothing to port {port}:\n{''.join(logs)[-2000:]}")
        return sent

    def _start(self, folder: Path, number: int, share: Sequence[Path], port: int) -> subprocess.Popen[bytes]:
        words = [*self.command, "-lc", str(folder / "log.cfg"), "-aet", "BENCH", "-aec", "RADSTREAM"]
        return subprocess.Popen(
            [*words, "localhost", str(port), *map(str, share)],
            env={**process_environment(), **self.environment, "LOGFILE": str(folder / f"{number}.log")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def read_logs(logs: Iterable[str], images: int) -> Sent:
    """Read the times of requests and answers from the senders' logs."""
    begins, ends, answers = [], [], []
    for log in logs:
        asked = 0.0
        for line in log.splitlines():
            found = _LINE.match(line)
            if not found:
                continue
            at = 1000 * int(found[1]) + float(found[2])
            if found[3].startswith("Requesting"):
                begins.append(at)
            elif found[3].startswith("Sending"):
                asked = at
            else:
                ends.append(at)
                if "Success" in found[3]:
                    answers.append(at - asked)
    if not ends:
        return Sent(1.0, [], images)
    return Sent((max(ends) - min(begins)) / 1000, answers, images - len(answers))
