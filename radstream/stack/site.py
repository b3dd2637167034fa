"""One running system on one machine: its state folder, its ports and the `RADSTREAM_*` lines that describe it."""

import hashlib
import os
import secrets
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from radstream.setting_reader import read_env_file
from radstream.stack.ports import LOOPBACK, MAX_OFFSET, ports_at
from schemas.errors import SettingInvalid

BUCKET = "radstream"
DEFAULT_STATE_DIR = ".radstream"

#: sun_path of unix(7) holds 108 bytes with its NUL; supervisord appends a pid while it binds.
MAX_SOCKET_PATH_BYTES = 95

#: Ports that a setting of their own can move, beside the offset.
PORT_SETTINGS: Mapping[str, str] = {
    "dicom": "RADSTREAM_DICOM_PORT",
    "console": "RADSTREAM_HTTP_PORT",
    "stow": "RADSTREAM_STOW_PORT",
    "predict": "RADSTREAM_PREDICT_PORT",
    "prometheus": "RADSTREAM_PROMETHEUS_PORT",
}

#: Doors that 0 leaves out.
_MAY_BE_CLOSED = frozenset({"RADSTREAM_STOW_PORT", "RADSTREAM_PREDICT_PORT"})

#: Settings that make sense for one process only: never handed on to all of them.
_OF_ONE_PROCESS = frozenset({"RADSTREAM_METRICS_PORT", "RADSTREAM_DIE_AT"})

#: Secrets, made once for a state folder and kept in its env file.
SECRETS = (
    "RADSTREAM_PSEUDONYM_KEY",
    "RADSTREAM_VAULT_KEY",
    "RADSTREAM_S3_ACCESS_KEY",
    "RADSTREAM_S3_SECRET_KEY",
    "RADSTREAM_POSTGRES_PASSWORD",
)


@dataclass(frozen=True, slots=True)
class Site:
    """The system that lives in one state folder."""

    state_dir: Path  # absolute
    ports: Mapping[str, int]
    environment: dict[str, str]  # what every process of it is started with

    @property
    def env_file(self) -> Path:
        """The lines that a shell can source; holds secrets, so only its owner reads it."""
        return self.state_dir / "env"

    @property
    def log_dir(self) -> Path:
        """A log file for each component."""
        return self.state_dir / "log"

    def log_file(self, component: str) -> Path:
        """Return where a component's output goes."""
        return self.log_dir / f"{component}.log"

    @property
    def config_dir(self) -> Path:
        """The configurations that were rendered for this site."""
        return self.state_dir / "config"

    @property
    def socket_path(self) -> Path:
        """The supervisor's socket: in the state folder, unless that path is too long for a socket."""
        inside = self.state_dir / "supervisor.sock"
        if len(os.fsencode(inside)) <= MAX_SOCKET_PATH_BYTES:
            return inside
        return Path(tempfile.gettempdir()) / f"radstream-{os.getuid()}-{self.key}.sock"

    @property
    def key(self) -> str:
        """A short name of this site that differs from every other state folder's."""
        return hashlib.sha256(os.fsencode(self.state_dir)).hexdigest()[:12]

    @property
    def private_dir(self) -> Path:
        """Where root's servers that must not run as root keep their files if they can't enter the state folder."""
        return Path("/var/lib/radstream") / self.key

    def secret(self, name: str) -> str:
        """Return a credential of this site."""
        return self.environment[name]

    def write(self) -> None:
        """Make the folders and the env file (mode 0600)."""
        for folder in (self.state_dir, self.log_dir, self.config_dir):
            folder.mkdir(parents=True, exist_ok=True)
        write_private(self.env_file, "".join(f"{k}={shlex.quote(v)}\n" for k, v in self.environment.items()))


def write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read, whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def state_dir_of(environment: Mapping[str, str]) -> Path:
    """Return the state folder: `RADSTREAM_STATE_DIR`, else `.radstream` in the working folder."""
    return Path(environment.get("RADSTREAM_STATE_DIR") or DEFAULT_STATE_DIR).absolute()


def site_of(environment: Mapping[str, str]) -> Site:
    """Work out the site from the environment and from what its env file already holds.

    Secrets and ports are kept from the file, unless the environment says otherwise; addresses follow the ports.
    Writes nothing.
    """
    state_dir = state_dir_of(environment)
    kept = read_env_file(state_dir / "env")
    offset = _offset(environment.get("RADSTREAM_PORT_OFFSET") or kept.get("RADSTREAM_PORT_OFFSET") or "0")
    moved = str(offset) != kept.get("RADSTREAM_PORT_OFFSET")
    ports = ports_at(offset)
    for name, setting in PORT_SETTINGS.items():
        chosen = environment.get(setting) or ("" if moved else kept.get(setting, ""))
        if chosen:
            ports[name] = _port(setting, chosen)
    credentials = {name: environment.get(name) or kept.get(name) or _new_secret(name) for name in SECRETS}
    own = _described(state_dir, offset, ports, credentials)
    given = {k: v for k, v in environment.items() if k.startswith("RADSTREAM_") and k not in _OF_ONE_PROCESS}
    return Site(state_dir=state_dir, ports=ports, environment=given | own)


def _described(state_dir: Path, offset: int, ports: Mapping[str, int], secret: Mapping[str, str]) -> dict[str, str]:
    """Say where everything of the site is, in the settings' own names."""
    password = secret["RADSTREAM_POSTGRES_PASSWORD"]
    return {
        "RADSTREAM_STATE_DIR": str(state_dir),
        "RADSTREAM_PORT_OFFSET": str(offset),
        **{setting: str(ports[name]) for name, setting in PORT_SETTINGS.items()},
        "RADSTREAM_KAFKA_BOOTSTRAP": f"{LOOPBACK}:{ports['kafka']}",
        "RADSTREAM_SCHEMA_REGISTRY_URL": f"http://{LOOPBACK}:{ports['registry']}/apis/ccompat/v7",
        "RADSTREAM_S3_URL": f"http://{LOOPBACK}:{ports['object_store']}",
        "RADSTREAM_S3_BUCKET": BUCKET,
        "RADSTREAM_POSTGRES_URL": f"postgresql://radstream:{password}@{LOOPBACK}:{ports['postgres']}/radstream",
        "RADSTREAM_REDIS_URL": f"redis://{LOOPBACK}:{ports['redis']}/0",
        **secret,
    }


def _new_secret(name: str) -> str:
    """Make a credential: 32 random bytes in hex for our keys, half as many for a server's password."""
    return secrets.token_hex(32 if name.endswith(("PSEUDONYM_KEY", "VAULT_KEY")) else 16)


def _offset(text: str) -> int:
    if not text.isdigit() or int(text) > MAX_OFFSET:
        raise SettingInvalid(f"RADSTREAM_PORT_OFFSET={text!r} is not a number from 0 to {MAX_OFFSET}")
    return int(text)


def _port(setting: str, text: str) -> int:
    lowest = 0 if setting in _MAY_BE_CLOSED else 1
    if not text.isdigit() or not lowest <= int(text) < 2**16:
        raise SettingInvalid(f"{setting}={text!r} is not a port")
    return int(text)
