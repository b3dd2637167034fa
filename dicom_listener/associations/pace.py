"""How fast one sender may send: whoever is over its rate is read more slowly, never refused."""

from dicom_listener.processes.board import Board
from radstream.service import Stop

#: A single wait is never longer, so that no peer's timer runs out (seconds).
_LONGEST_WAIT_SECONDS = 5.0


class Pace:
    """The rates of every calling AE, images and bytes a second, over all processes of the listener. Thread-safe."""

    def __init__(self, images: float | None, bytes_: float | None, stop: Stop, board: Board) -> None:
        self._rates = {"images": images, "bytes": bytes_}
        self._stop = stop
        self._board = board

    @property
    def limits(self) -> bool:
        """Whether anything is limited."""
        return any(self._rates.values())

    def image(self, calling_ae: str) -> None:
        """Count an image; wait where the sender is over its rate."""
        self._take(calling_ae, "images", 1)

    def data(self, calling_ae: str, size_bytes: int) -> None:
        """Count bytes; wait where the sender is over its rate."""
        self._take(calling_ae, "bytes", size_bytes)

    def _take(self, calling_ae: str, what: str, tokens: float) -> None:
        rate = self._rates[what]
        if rate:
            wait = self._board.take(f"{what} {calling_ae}", tokens, rate)
            if wait:
                self._stop.wait(min(wait, _LONGEST_WAIT_SECONDS))
