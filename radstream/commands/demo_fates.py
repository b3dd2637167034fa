"""What becomes of each file of a demo: refused, or acknowledged and then evaluated or not."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pynetdicom.dsutils import split_dataset

from radstream.commands.send_files import Film
from radstream.commands.send_scu import NOT_DICOM, SUCCESS, Answer
from radstream.results import Result
from schemas.identity import Pseudonyms, data_set_hasher, event_id, result_id

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Fate:
    """One file and how it ended; all open while it is under way."""

    file: Path
    status: str | None = None
    ack_ms: float | None = None
    result: Result | None = None

    @property
    def acknowledged(self) -> bool:
        """Whether the listener took it."""
        return self.status == SUCCESS

    @property
    def refused(self) -> bool:
        """Whether it was not taken: by the listener, or by us because it is no image."""
        return self.status is not None and not self.acknowledged

    @property
    def ending(self) -> str:
        """The three ends of INTERFACE.md, in a table's words."""
        if self.refused:
            return f"refused ({self.status})"
        if self.result is None:
            return "no result"
        return "evaluated" if self.result.reason is None else f"not evaluated ({self.result.reason})"


class Fates:
    """All files of a run. Thread-safe: senders answer while results are read.

    Results are matched by the event that a film becomes (ARCHITECTURE.md, "Identity"), so that two films of one UID
    stay two; a film that was sent before has its result already.
    """

    def __init__(self, films: Sequence[Film], not_dicom: Iterable[Path], pseudonyms: Pseudonyms) -> None:
        self._lock = threading.Lock()
        self._fates = {file: Fate(file, NOT_DICOM) for file in not_dicom} | {f.file: Fate(f.file) for f in films}
        self._by_name: dict[str, list[tuple[UUID, Path]]] = {}
        for film in films:
            event = event_of(film, pseudonyms)
            for name in (film.sop_instance_uid, pseudonyms.uid(film.sop_instance_uid)):
                self._by_name.setdefault(name, []).append((event, film.file))

    def answered(self, answer: Answer) -> None:
        """Note what the listener said."""
        with self._lock:
            was = self._fates[answer.film.file]
            self._fates[answer.film.file] = Fate(was.file, answer.status, answer.ack_ms, was.result)

    def completed(self, result: Result) -> list[Fate]:
        """Note a result; give the files that it belongs to, none if it is of another run."""
        ends = []
        with self._lock:
            for event, file in self._by_name.get(result.sop_instance_uid, ()):
                if result_id(event, result.model, result.model_version, result.role) == result.result_id:
                    was = self._fates[file]
                    self._fates[file] = Fate(was.file, was.status, was.ack_ms, result)
                    ends.append(self._fates[file])
        return ends

    def all(self) -> list[Fate]:
        """Give every file as it stands now, in the order given."""
        with self._lock:
            return list(self._fates.values())

    def counts(self) -> Mapping[str, int]:
        """Count files: all, answered, acknowledged, with a result, refused."""
        fates = self.all()
        return {
            "all": len(fates),
            "answered": sum(one.status is not None for one in fates),
            "acknowledged": sum(one.acknowledged for one in fates),
            "results": sum(one.acknowledged and one.result is not None for one in fates),
            "refused": sum(one.refused for one in fates),
        }


def event_of(film: Film, pseudonyms: Pseudonyms) -> UUID:
    """Name the event that a film becomes: its UID's pseudonym and the SHA-256 of its data set as it travels."""
    _, offset = split_dataset(film.part10)
    hasher = data_set_hasher(film.transfer_syntax_uid)
    with film.part10.open("rb") as opened:
        opened.seek(offset)
        while chunk := opened.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return event_id(pseudonyms.uid(film.sop_instance_uid), hasher.hexdigest())
