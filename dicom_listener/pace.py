"""How fast one sender may send: whoever is over its rate is read more slowly, never refused."""

import threading
import time

from dicom_listener.limits import TokenBucket
from radstream.service import Stop

#: A single wait is never longer, so that no peer's timer runs out (seconds).
_LONGEST_WAIT_SECONDS = 5.0
#: Senders remembered; over this the one that came first is forgotten (count).
_LARGEST_BOOK = 1024


class Pace:
    """The rates of every calling AE, images and bytes a second. Thread-safe."""

    def __init__(self, images: float | None, bytes_: float | None, stop: Stop) -> None:
        self._rates = {"images": images, "bytes": bytes_}
        self._stop = stop
        self._shares: dict[str, float] = {}
        self._buckets: dict[tuple[str, str], TokenBucket] = {}
        self._lock = threading.Lock()

    @property
    def limits(self) -> bool:
        """Whether anything is limited."""
        return any(self._rates.values())

    def share(self, calling_ae: str, part: float) -> None:
        """Use this part of a sender's rate: other processes have the rest."""
        with self._lock:
            self._shares.pop(calling_ae, None)
            if part < 1:
                self._shares[calling_ae] = part
            for (name, what), bucket in self._buckets.items():
                rate = self._rates[what]
                if name == calling_ae and rate:
                    bucket.set_rate(rate * part)

    def image(self, calling_ae: str) -> None:
        """Count an image; wait where the sender is over its rate."""
        self._take(calling_ae, "images", 1)

    def data(self, calling_ae: str, size_bytes: int) -> None:
        """Count bytes; wait where the sender is over its rate."""
        self._take(calling_ae, "bytes", size_bytes)

    def _take(self, calling_ae: str, what: str, tokens: float) -> None:
        rate = self._rates[what]
        if rate:
            wait = self._bucket(calling_ae, what, rate).take(tokens)
            if wait:
                self._stop.wait(min(wait, _LONGEST_WAIT_SECONDS))

    def _bucket(self, calling_ae: str, what: str, rate: float) -> TokenBucket:
        with self._lock:
            key = (calling_ae, what)
            if key not in self._buckets:
                if len(self._buckets) >= _LARGEST_BOOK:
                    del self._buckets[next(iter(self._buckets))]
                self._buckets[key] = TokenBucket(rate * self._shares.get(calling_ae, 1.0), time.monotonic)
            return self._buckets[key]
