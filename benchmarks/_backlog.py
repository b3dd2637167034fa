"""What forwarding a backlog costs the answers of policy `spool`.

Three cases take turns. `alone`: the object store is away, so nothing is forwarded. `fresh`: an empty spool, each image
is forwarded as it comes. `backlog`: the spool holds images that came while the object store was away, and forwards
them while new ones come.
"""

import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from _films import SyntheticFilm
from _receivers import free_port, ours
from _record import plain_environment
from _senders import DCMSEND, ENVIRONMENT, Sender

from radstream.stack.site import Site

ASSOCIATIONS = 4
WARM_UP = 8


@dataclass(frozen=True, slots=True)
class _Case:
    site: Site
    films: Sequence[SyntheticFilm]
    folder: Path

    def alone(self) -> float:
        """Give images a second while nothing is forwarded."""
        return self._with({"RADSTREAM_S3_URL": f"http://127.0.0.1:{free_port()}"}, backlog=False)

    def fresh(self) -> float:
        """Give images a second from an empty spool."""
        return self._with({}, backlog=False)

    def backlog(self) -> float:
        """Give images a second while as many again wait in the spool."""
        return self._with({}, backlog=True)

    def _with(self, more: Mapping[str, str], *, backlog: bool) -> float:
        spool = self.folder.parent / "backlog"
        shutil.rmtree(spool, ignore_errors=True)
        away = {"RADSTREAM_S3_URL": f"http://127.0.0.1:{free_port()}"}
        if backlog:
            self._send(away, spool, self.films)
        rate = self._send(more, spool, self.films)
        shutil.rmtree(spool, ignore_errors=True)
        shutil.rmtree(self.site.state_dir / "objects" / "radstream" / "instances", ignore_errors=True)
        return rate

    def _send(self, more: Mapping[str, str], spool: Path, films: Sequence[SyntheticFilm]) -> float:
        environment = {**plain_environment(), **self.site.environment, **more}
        sender = Sender(DCMSEND, ASSOCIATIONS, ENVIRONMENT)
        with ours("spool", environment, spool=spool).running(self.folder) as at:
            for film in films:
                film.renew()
            paths = [film.path for film in films]
            return sender.send(paths, at.port).images_per_second


def measure_backlog(
    site: Site, films: Sequence[SyntheticFilm], folder: Path, rounds: int, size_mb: float
) -> dict[str, object]:
    """Let the cases take turns; give medians and the median of the rounds' ratios."""
    case = _Case(site, films, folder)
    ways: Mapping[str, Callable[[], float]] = {"alone": case.alone, "fresh": case.fresh, "backlog": case.backlog}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            rates[name].append(way())
    return {
        "size_mb": size_mb,
        "waiting_images": len(films),
        "images_per_second": {name: round(statistics.median(these), 2) for name, these in rates.items()},
        "rounds": {name: [round(rate, 2) for rate in these] for name, these in rates.items()},
        "ratio": _ratio(rates["backlog"], rates["fresh"]),
        "ratio_to_alone": _ratio(rates["backlog"], rates["alone"]),
    }


def _ratio(values: Sequence[float], reference: Sequence[float]) -> float:
    return round(statistics.median(one / other for one, other in zip(values, reference, strict=True)), 3)
