"""Local ports: the table of INTERFACE.md, moved as a whole by `RADSTREAM_PORT_OFFSET`."""

import socket
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from radstream.settings import METRICS_PORTS
from schemas.errors import PortInUse

LOOPBACK = "127.0.0.1"

#: The default port of each listener, by what listens there.
DEFAULT_PORTS: Mapping[str, int] = MappingProxyType(
    {
        "dicom": 11112,
        "dicom_tls": 2762,
        "console": 8080,
        "stow": 8042,
        "predict": 8043,
        "kafka": 9092,
        "kafka_controller": 9093,
        "registry": 8081,
        "registry_management": 8082,
        "object_store": 7070,
        "postgres": 5432,
        "redis": 6379,
        "prometheus": 9090,
        **{f"metrics_{service}": port for service, port in METRICS_PORTS.items()},
    }
)

OFFSET_STEP = 100
LAST_FREE_OFFSET = 21_600  # with it the highest port is still below Linux's range for outgoing connections (32768)
MAX_OFFSET = 40_000  # 11112 + 40000 is still a port


def ports_at(offset: int) -> dict[str, int]:
    """Move the whole table by `offset`.

    >>> ports_at(1000)["kafka"]
    10092
    """
    return {name: port + offset for name, port in DEFAULT_PORTS.items()}


def is_free(port: int) -> bool:
    """Say whether nothing listens on the loopback port at this moment."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_offset(start: int = 0) -> int:
    """Return the first offset from `start`, in steps of 100, at which every port of the table is free."""
    for offset in range(start, LAST_FREE_OFFSET + 1, OFFSET_STEP):
        if all(is_free(port) for port in ports_at(offset).values()):
            return offset
    raise PortInUse(f"no offset from {start} to {LAST_FREE_OFFSET} has all ports free; set RADSTREAM_PORT_OFFSET")


def refuse_ports_in_use(wanted: Iterable[tuple[str, int]]) -> None:
    """Raise `PortInUse`, with every port at once, when another program listens on one of `wanted`."""
    taken = [f"{port} ({name})" for name, port in wanted if not is_free(port)]
    if taken:
        raise PortInUse(
            f"port {', '.join(taken)} is in use by another program: "
            "stop that program, or move every port with RADSTREAM_PORT_OFFSET=100"
        )
