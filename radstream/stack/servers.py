"""How each server is started: its command line, and what must lie on disk before."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from radstream.settings import METRICS_PORTS
from radstream.stack.kafka_properties import server_properties
from radstream.stack.ports import LOOPBACK
from radstream.stack.site import Site, write_private
from radstream.stack.tools import Tools
from schemas.errors import StackNotReady

PREPARE_SECONDS = 120
#: A JVM for one machine: small, serial, no effort on code that runs once.
_SMALL_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


@dataclass(frozen=True, slots=True)
class Launch:
    """A command line as supervisor runs it."""

    argv: tuple[str, ...]
    directory: Path | None = None  # None: where `radstream up` was called
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None  # run as this user of the system
    stop_signal: str = "TERM"
    stop_seconds: int = 15


def nothing_to_prepare(_site: Site, _tools: Tools) -> None:
    """Leave the disk as it is."""


def module(site: Site, words: Sequence[str], metrics_port: int) -> Launch:
    """Start a service of ours: `python -m` and these words."""
    own = {"RADSTREAM_METRICS_PORT": str(metrics_port), "PYTHONUNBUFFERED": "1"}
    return Launch(argv=(sys.executable, "-m", *words), environment=site.environment | own)


def format_kafka(site: Site, tools: Tools) -> None:
    """Write the broker's settings and, once, format its log folder under a random cluster id."""
    data = site.state_dir / "kafka"
    properties = site.config_dir / "kafka.properties"
    properties.write_text(server_properties(data, site.ports["kafka"], site.ports["kafka_controller"]))
    if (data / "meta.properties").exists():
        return
    cluster = uuid4().hex[:22]
    _run(
        [
            *(str(tools.java), "-Xmx128m", *_SMALL_JVM, "-cp", f"{tools.kafka_libs}/*"),
            *("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)),
        ],
        "formatting Kafka's log folder",
    )


def kafka(site: Site, tools: Tools) -> Launch:
    """Start the broker and controller in one JVM."""
    return Launch(
        argv=(
            *(str(tools.java), "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{tools.kafka_libs}/*"),
            *("kafka.Kafka", str(site.config_dir / "kafka.properties")),
        ),
        stop_seconds=20,
    )


def registry(site: Site, tools: Tools) -> Launch:
    """Start Apicurio on loopback, management door included, with its data in an H2 file."""
    data = site.state_dir / "registry" / "registry"
    return Launch(
        argv=(
            *(str(tools.java), "-Xms64m", "-Xmx384m", *_SMALL_JVM),
            *(f"-Dquarkus.http.host={LOOPBACK}", f"-Dquarkus.http.port={site.ports['registry']}"),
            f"-Dquarkus.management.host={LOOPBACK}",
            f"-Dquarkus.management.port={site.ports['registry_management']}",
            *("-Dapicurio.storage.kind=sql", "-Dapicurio.storage.sql.kind=h2"),
            *(f"-Dapicurio.datasource.url=jdbc:h2:file:{data}", "-jar", "quarkus-run.jar"),
        ),
        directory=tools.registry_home,
    )


def make_object_folders(site: Site, _tools: Tools) -> None:
    """Make the folders that versitygw serves."""
    for name in ("objects", "object-versions"):
        (site.state_dir / name).mkdir(parents=True, exist_ok=True)


def object_store(site: Site, tools: Tools) -> Launch:
    """Start versitygw over a folder. It answers before the disk does: no promise over a power cut.

    Without `--keep-alive` it closes a connection after each answer, and each put and get pays for a new one.
    """
    folders = [str(site.state_dir / name) for name in ("object-versions", "objects")]
    return Launch(
        argv=(
            *(str(tools.versitygw), "--quiet", "--keep-alive", "--port", f"{LOOPBACK}:{site.ports['object_store']}"),
            *("posix", "--versioning-dir", *folders),
        ),
        environment={
            "ROOT_ACCESS_KEY": site.secret("RADSTREAM_S3_ACCESS_KEY"),
            "ROOT_SECRET_KEY": site.secret("RADSTREAM_S3_SECRET_KEY"),
        },
    )


def make_redis_folder(site: Site, _tools: Tools) -> None:
    """Make Redis's folder."""
    (site.state_dir / "redis").mkdir(parents=True, exist_ok=True)


def redis(site: Site, tools: Tools) -> Launch:
    """Start Redis with its append-only file, on loopback."""
    return Launch(
        argv=(
            *(str(tools.on_path("redis-server", "apt-get install redis-server")), "--port", str(site.ports["redis"])),
            *("--bind", LOOPBACK, "--dir", str(site.state_dir / "redis"), "--appendonly", "yes", "--save", ""),
        )
    )


def write_prometheus_config(site: Site, _tools: Tools) -> None:
    """Write what Prometheus scrapes: the metrics door of each service of ours."""
    targets = {service: f"{LOOPBACK}:{site.ports[f'metrics_{service}']}" for service in METRICS_PORTS}
    jobs = "".join(
        f"  - job_name: {service}\n    static_configs:\n      - targets: ['{target}']\n"
        for service, target in targets.items()
    )
    alerts = Path(__file__).parents[2] / "infra" / "prometheus" / "alerts.yml"
    rules = f"rule_files: ['{alerts}']\n" if alerts.exists() else ""
    text = f"global:\n  scrape_interval: 5s\n{rules}scrape_configs:\n{jobs}"
    (site.config_dir / "prometheus.yml").write_text(text)


def prometheus(site: Site, tools: Tools) -> Launch:
    """Start Prometheus on loopback, keeping two weeks."""
    return Launch(
        argv=(
            str(tools.on_path("prometheus", "apt-get install prometheus")),
            f"--config.file={site.config_dir / 'prometheus.yml'}",
            f"--storage.tsdb.path={site.state_dir / 'prometheus'}",
            *("--storage.tsdb.retention.time=15d", "--log.level=warn"),
            f"--web.listen-address={LOOPBACK}:{site.ports['prometheus']}",
        )
    )


def init_postgres(site: Site, tools: Tools) -> None:
    """Make a private cluster, once. PostgreSQL refuses root, so root's belongs to a user without rights."""
    data, user = postgres_dir(site), server_user()
    if (data / "PG_VERSION").exists():
        return
    password = site.config_dir / "postgres.password" if user is None else data.parent / "postgres.password"
    data.parent.mkdir(parents=True, exist_ok=True)
    data.mkdir(mode=0o700, exist_ok=True)
    inside = site.state_dir / "postgres"
    if data != inside and not inside.is_symlink():
        inside.symlink_to(data)  # for people, and for `make clean`
    write_private(password, site.secret("RADSTREAM_POSTGRES_PASSWORD") + "\n")
    if user is not None:
        for path in (data, password):
            shutil.chown(path, user)
    try:
        _run(
            [
                *(str(tools.postgres("initdb")), "-D", str(data), "-U", "radstream", f"--pwfile={password}"),
                *("--auth=scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"),
            ],
            "making PostgreSQL's cluster",
            user=user,
        )
    finally:
        password.unlink()


def postgres(site: Site, tools: Tools) -> Launch:
    """Start the private cluster on loopback TCP alone (a socket's path may be too long)."""
    settings = {
        "listen_addresses": LOOPBACK,
        "unix_socket_directories": "",
        "shared_buffers": "64MB",
        "max_connections": "100",
        "timezone": "UTC",
    }
    return Launch(
        argv=(
            *(str(tools.postgres("postgres")), "-D", str(postgres_dir(site)), "-p", str(site.ports["postgres"])),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
        ),
        user=server_user(),
        stop_signal="INT",  # "fast": end the sessions, write a checkpoint
    )


def server_user() -> str | None:
    """Return the user for servers that refuse root; None when we are no root ourselves."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise StackNotReady("PostgreSQL refuses to run as root and there is neither a user postgres nor nobody")


def postgres_dir(site: Site) -> Path:
    """Return the cluster's folder: in the state folder, unless the server's user can't get there."""
    inside = site.state_dir / "postgres"
    if server_user() is None or all(folder.stat().st_mode & 0o001 for folder in inside.parents if folder.exists()):
        return inside
    return site.private_dir / "postgres"


def _run(argv: Sequence[str], what: str, user: str | None = None) -> None:
    """Run a program to its end; raise `StackNotReady` with its last line."""
    result = subprocess.run(  # noqa: S603 - a command line of this module
        argv, user=user, cwd="/", capture_output=True, text=True, timeout=PREPARE_SECONDS, check=False
    )
    if result.returncode != 0:
        last = (result.stderr or result.stdout).strip().splitlines()[-1:] or ["no output"]
        raise StackNotReady(f"{what} failed ({argv[0]}, exit {result.returncode}): {last[0]}")
