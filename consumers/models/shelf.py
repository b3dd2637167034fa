"""The versions of one model that are loaded: made off the hot path, kept while they are needed, then let go."""

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from consumers.models.loaded import LoadedModel
from schemas.errors import ModelLoading, ModelRefused, Unavailable


@dataclass(slots=True)
class _Place:
    future: "Future[LoadedModel]"
    used_at: float  # monotonic seconds


class Shelf:
    """Loaded versions. Every method from any thread."""

    def __init__(self, load: Callable[[str], LoadedModel], monotonic: Callable[[], float], keep_s: float) -> None:
        """Keep a version that no deployment names any more for `keep_s` seconds after its last image."""
        self._load = load
        self._monotonic = monotonic
        self._keep_s = keep_s
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}
        self._loader = ThreadPoolExecutor(1, "model-loader")

    def get(self, version: str) -> LoadedModel:
        """Give a version that is loaded; else have it loaded and raise ModelLoading.

        Raises ModelRefused for a package that was refused.
        """
        with self._lock:
            place = self._placed(version)
            place.used_at = self._monotonic()
            if not place.future.done():
                raise ModelLoading(f"version {version} is being loaded")
        return place.future.result()

    def wait(self, version: str, seconds: float) -> LoadedModel:
        """Give a version, loaded now where it is not yet; raises as `get` does, ModelLoading after `seconds`."""
        with self._lock:
            future = self._placed(version).future
        try:
            future.exception(seconds)
        except TimeoutError as error:
            raise ModelLoading(f"version {version} was not loaded in {seconds} s") from error
        return self.get(version)

    def want(self, versions: Collection[str]) -> bool:
        """Have these loaded, and let go of others: refused, or used by nobody for a while. Say whether any went."""
        with self._lock:
            for version in versions:
                self._placed(version)
            now = self._monotonic()
            gone = [
                version
                for version, place in self._places.items()
                if version not in versions
                and place.future.done()
                and (place.future.exception() is not None or now - place.used_at > self._keep_s)
            ]
            for version in gone:
                del self._places[version]
        return bool(gone)

    def refused(self) -> dict[str, ModelRefused]:
        """Give the versions that are refused, each with the fault."""
        with self._lock:
            done = {version: place.future for version, place in self._places.items() if place.future.done()}
        errors = {version: future.exception() for version, future in done.items()}
        return {version: error for version, error in errors.items() if isinstance(error, ModelRefused)}

    @property
    def loaded(self) -> frozenset[str]:
        """The versions that are in memory."""
        with self._lock:
            return frozenset(
                version
                for version, place in self._places.items()
                if place.future.done() and place.future.exception() is None
            )

    def close(self) -> None:
        """Begin no more loads."""
        self._loader.shutdown(wait=False, cancel_futures=True)

    def _placed(self, version: str) -> _Place:
        """Find a version's place, or begin to load it, also where a server was away the last time."""
        found = self._places.get(version)
        if found is None or (found.future.done() and isinstance(found.future.exception(), Unavailable)):
            self._places[version] = _Place(self._loader.submit(self._load, version), self._monotonic())
        return self._places[version]
