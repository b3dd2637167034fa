"""Readiness: each probe says "" when its component works, else why not, in words for `status`."""

import json
import socket
from contextlib import closing
from http import HTTPStatus

import psycopg2
import urllib3
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from radstream.stack.ports import LOOPBACK
from radstream.stack.site import Site

PROBE_SECONDS = 2.0
_http = urllib3.PoolManager(timeout=PROBE_SECONDS, retries=False)


def kafka(site: Site) -> str:
    """Ask the broker for its topics."""
    client = AdminClient({"bootstrap.servers": site.environment["RADSTREAM_KAFKA_BOOTSTRAP"], "log_level": 0})
    try:
        client.list_topics(timeout=PROBE_SECONDS)
    except KafkaException as error:
        return f"no answer ({error.args[0].name()})"
    return ""


def registry(site: Site) -> str:
    """Ask the registry for its subjects."""
    return _expect(site.environment["RADSTREAM_SCHEMA_REGISTRY_URL"] + "/subjects", HTTPStatus.OK)


def object_store(site: Site) -> str:
    """Ask the S3 server without a signature: a working one refuses."""
    return _expect(site.environment["RADSTREAM_S3_URL"] + "/", HTTPStatus.FORBIDDEN)


def prometheus(site: Site) -> str:
    """Ask Prometheus for its own readiness."""
    return _expect(f"http://{LOOPBACK}:{site.ports['prometheus']}/-/ready", HTTPStatus.OK)


def prometheus_version(site: Site) -> str:
    """Ask Prometheus what it is."""
    answer = _http.request("GET", f"http://{LOOPBACK}:{site.ports['prometheus']}/api/v1/status/buildinfo")
    return str(answer.json()["data"]["version"])


def postgres(site: Site) -> str:
    """Log in to the maintenance database, which is there before ours is."""
    try:
        psycopg2.connect(maintenance_url(site), connect_timeout=int(PROBE_SECONDS)).close()
    except psycopg2.OperationalError as error:
        return str(error).strip().splitlines()[0]
    return ""


def postgres_version(site: Site) -> str:
    """Ask the server what it is; from 10 on, `server_version` is major x 10000 + minor."""
    with closing(psycopg2.connect(maintenance_url(site), connect_timeout=int(PROBE_SECONDS))) as connection:
        major, minor = divmod(connection.server_version, 10_000)
    return f"{major}.{minor}"


def maintenance_url(site: Site) -> str:
    """Return the address of the database `postgres`."""
    return site.environment["RADSTREAM_POSTGRES_URL"].rpartition("/")[0] + "/postgres"


def redis_server(site: Site) -> str:
    """Ping Redis."""
    try:
        answer = _redis_says(site, b"PING")
    except OSError as error:
        return f"no answer ({type(error).__name__})"
    return "" if answer == "+PONG" else answer


def redis_version(site: Site) -> str:
    """Ask Redis what it is."""
    _, _, rest = _redis_says(site, b"INFO server").partition("redis_version:")
    return rest.split()[0] if rest else ""


def _redis_says(site: Site, command: bytes) -> str:
    """Ask on a plain socket: the client package takes a quarter of a second to import, and `status` is asked often."""
    with socket.create_connection((LOOPBACK, site.ports["redis"]), PROBE_SECONDS) as connection:
        connection.sendall(command + b"\r\n")
        return connection.recv(4096).decode(errors="replace").strip()


def health(port: int) -> str:
    """Ask a service of ours; it names the parts that it waits for."""
    try:
        answer = _http.request("GET", f"http://{LOOPBACK}:{port}/health/ready")
    except urllib3.exceptions.HTTPError as error:
        return f"no answer on port {port} ({type(error).__name__})"
    if answer.status == HTTPStatus.OK:
        return ""
    try:
        waiting = json.loads(answer.data)["waiting"]
    except (ValueError, KeyError):
        return f"answered {answer.status}"
    return "; ".join(f"{part}: {why}" for part, why in waiting.items())


def _expect(url: str, status: HTTPStatus) -> str:
    try:
        answer = _http.request("GET", url)
    except urllib3.exceptions.HTTPError as error:
        return f"no answer ({type(error).__name__})"
    return "" if answer.status == status else f"answered {answer.status}"
