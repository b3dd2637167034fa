"""Many small films, and a PACS that sends them again until each is acknowledged."""

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import imagecodecs
import numpy as np

from radstream.commands.send_files import Film, film_of
from radstream.commands.send_scu import SUCCESS, Pace, Peer, send_films
from radstream.phantoms.anatomy import chest

#: A PACS tries again after a while.
AGAIN_SECONDS = 0.3
ASSOCIATIONS = 4


def write_films(folder: Path, count: int) -> list[Film]:
    """Write films of a chest, each with pixels (so UIDs, too) of its own."""
    rng = np.random.default_rng(int(datetime.now(UTC).timestamp() * 1e6))
    drawn = np.clip(chest(rng, opacities=True)[::2, ::2] * 200, 0, 200).astype(np.uint8)
    films = []
    for number in range(count):
        picture = folder / f"{number}.png"
        noise = rng.integers(0, 20, drawn.shape, dtype=np.uint8)
        picture.write_bytes(imagecodecs.png_encode(drawn + noise))
        film = film_of(picture, folder)
        assert film is not None
        films.append(film)
    return films


class Pacs:
    """Sends films side by side with the test. What was not acknowledged is sent again, as PACS do."""

    def __init__(self, films: Sequence[Film], peer: Peer, images_per_second: float | None = None) -> None:
        self._peer = peer
        self._pace = Pace(associations=ASSOCIATIONS, images_per_second=images_per_second)
        self._waiting = list(films)
        self._lock = threading.Lock()
        self.answers: list[str] = []  # every status, those of later repeats too
        self.acknowledged: dict[str, Film] = {}  # by SOP Instance UID
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> "Pacs":
        """Begin to send."""
        self._thread.start()
        return self

    @property
    def finished(self) -> bool:
        """Whether every film is acknowledged."""
        return not self._thread.is_alive()

    def _run(self) -> None:
        while self._waiting:
            for answer in send_films(self._waiting, self._peer, self._pace):
                with self._lock:
                    self.answers.append(answer.status)
                    if answer.status == SUCCESS:
                        self.acknowledged[answer.film.sop_instance_uid] = answer.film
            self._waiting = [film for film in self._waiting if film.sop_instance_uid not in self.acknowledged]
            if self._waiting:
                time.sleep(AGAIN_SECONDS)
