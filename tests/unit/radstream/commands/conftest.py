"""A storage SCP of pynetdicom on a real socket, and films to send to it."""

import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.sop_class import DigitalXRayImageStorageForPresentation

from radstream.commands.send_scu import Peer
from radstream.phantoms.dicom import write_phantoms

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stored:
    """One C-STORE as the SCP saw it."""

    sop_instance_uid: str
    transfer_syntax_uid: str
    priority: int
    calling_ae: str
    association: int
    data_set: bytes


@dataclass(slots=True)
class Archive:
    """What a storage SCP was sent, and the status that it answers."""

    port: int = 0
    status: int = 0x0000
    drop_after: int | None = None
    stored: list[Stored] = field(default_factory=list)

    @property
    def peer(self) -> Peer:
        """How to call it."""
        return Peer(host="127.0.0.1", port=self.port, called_ae="ARCHIVE", calling_ae="SENDER")

    def take(self, event: evt.Event) -> int:
        """Keep one image; drop the connection where the test wants it."""
        if self.drop_after is not None and len(self.stored) >= self.drop_after:
            event.assoc.dul.socket.socket.shutdown(socket.SHUT_RDWR)  # as a listener that is killed
            return 0xC000
        request = event.request
        self.stored.append(
            Stored(
                sop_instance_uid=str(request.AffectedSOPInstanceUID),
                transfer_syntax_uid=str(event.context.transfer_syntax),
                priority=request.Priority,
                calling_ae=event.assoc.requestor.ae_title,
                association=id(event.assoc),
                data_set=request.DataSet.getvalue(),
            )
        )
        return self.status


ArchiveMaker = Callable[..., Archive]


@pytest.fixture
def archive_with() -> Iterator[ArchiveMaker]:
    """Give a function that starts a storage SCP; all are stopped at the end."""
    servers = []

    def begin(syntaxes: list[str] | None = None, *, called: bool = False, tls: ssl.SSLContext | None = None) -> Archive:
        archive = Archive()
        ae = AE(ae_title="ARCHIVE")
        ae.require_called_aet = called
        ae.add_supported_context(DigitalXRayImageStorageForPresentation, syntaxes or ALL_TRANSFER_SYNTAXES)
        server = ae.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, archive.take)], ssl_context=tls
        )
        servers.append(server)
        archive.port = server.socket.getsockname()[1]
        return archive

    yield begin
    for server in servers:
        server.shutdown()


@pytest.fixture
def archive(archive_with: ArchiveMaker) -> Archive:
    """Start a storage SCP that takes everything."""
    return archive_with()


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write phantoms of all transfer syntaxes once."""
    return write_phantoms(tmp_path_factory.mktemp("phantoms"), 9, 7, AT)
