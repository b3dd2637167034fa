"""`python -m dicom_listener`: the parent of stage 1's processes."""

import errno
import socket
import sys
from functools import partial

from prometheus_client import REGISTRY

from dicom_listener.processes.limits import Limits, Slots
from dicom_listener.processes.parent import Parent, bound
from dicom_listener.processes.parent_metrics import ListenerCollector, clean, exposition, folder_of, forget
from dicom_listener.processes.workers import Workers
from dicom_listener.receiving.terms import LOOPBACK
from radstream.logs import get_log
from radstream.service import Health, Stop, run_service
from radstream.settings import Settings, process_environment
from schemas.errors import PortInUse, SettingInvalid

SERVICE = "dicom_listener"


def run(settings: Settings, health: Health, stop: Stop) -> int | None:
    """Bind the ports, start the workers, hand them connections until asked to stop."""
    _check_allowed(settings)
    if not (settings.dicom_port or settings.tls_certificate):
        raise SettingInvalid(
            "RADSTREAM_DICOM_PORT=0 leaves only TLS: set RADSTREAM_TLS_CERTIFICATE, or a port (any free one can't be "
            "asked for: modalities must know it)"
        )
    doors = [
        (_bound(settings.bind_address, port, name), tls)
        for port, name, tls in (
            (settings.dicom_port, "RADSTREAM_DICOM_PORT", False),
            (settings.dicom_tls_port if settings.tls_certificate else 0, "RADSTREAM_DICOM_TLS_PORT", True),
        )
        if port
    ]
    folder = folder_of(settings)
    clean(folder)
    environment = process_environment() | {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    workers = Workers(settings.listener_slot, settings.listener_processes, environment)
    slots = Slots(
        Limits(
            total=settings.maximum_associations,
            per_ae=settings.maximum_associations_per_ae,
            reserved=settings.reserved_associations,
            verification=settings.verification_associations,
        )
    )
    REGISTRY.register(ListenerCollector(workers, slots))
    parent = Parent(doors, workers, slots, partial(forget, folder))
    parent.limit(settings.allowed_addresses)
    return parent.run(health, stop)


def _bound(address: str, port: int, name: str) -> socket.socket:
    try:
        return bound(address, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise SettingInvalid(
                f"RADSTREAM_BIND_ADDRESS={address} can't be bound (port {port}, errno {error.errno})"
            ) from error
        raise PortInUse(
            f"port {port} is in use on {address}: stop what listens there, or set {name} or RADSTREAM_PORT_OFFSET"
        ) from error


def _check_allowed(settings: Settings) -> None:
    """Raise SettingInvalid for a door that is open to everybody beyond loopback."""
    if "*" not in settings.allowed_aes:
        return
    if settings.bind_address not in LOOPBACK:
        raise SettingInvalid(
            f"RADSTREAM_ALLOWED_AES=* with RADSTREAM_BIND_ADDRESS={settings.bind_address}: "
            "beyond loopback name the calling AE titles that may send"
        )
    get_log().warning("every calling AE may send", setting="RADSTREAM_ALLOWED_AES", address="loopback")


if __name__ == "__main__":
    sys.exit(run_service(SERVICE, run, exposition))
