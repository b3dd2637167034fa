"""The listener by TLS: who is let in, who delays nobody, and a certificate that changes under it."""

import contextlib
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from dicom_listener.standard.part10 import preamble_and_meta
from dicom_listener.standard.statuses import StoreStatus
from tests.certificates import Authority, fingerprint
from tests.integration.listener.conftest import Listening
from tests.integration.listener.films import film
from tests.integration.listener.raw_scu import ACCEPT, CHEST, EXPLICIT, REJECT, Closed, RawScu
from tests.running import plain_environment, until, unused_port

pytestmark = pytest.mark.stack

HALF_OPEN = 200


@dataclass(frozen=True)
class Secured:
    """A listener that speaks TLS, and who may call it."""

    listening: Listening
    port: int
    authority: Authority
    certificate: Path
    client: Path

    def context(self, client: Path | None = None) -> ssl.SSLContext:
        """Give a client's context; without a file it shows no certificate."""
        context = ssl.create_default_context(cafile=self.authority.path)
        if client is not None:
            context.load_cert_chain(client)
        return context

    def scu(self, client: Path | None = None) -> "TlsScu":
        """Give a connection that shows the client's certificate, or another one."""
        return TlsScu(self.port, self.context(client or self.client))


class TlsScu(RawScu):
    """A C-STORE user by TLS."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(port)
        self.tls = context.wrap_socket(self._socket, server_hostname="localhost")
        self._socket = self.tls


@pytest.fixture
def secure(listen: Callable[..., Listening], tmp_path: Path) -> Callable[..., Secured]:
    """Give a function that starts a listener by TLS."""

    def begin(**environment: str) -> Secured:
        authority = Authority(tmp_path)
        certificate, port = authority.issue("listener"), unused_port()
        own = {
            "RADSTREAM_DICOM_TLS_PORT": str(port),
            "RADSTREAM_TLS_CERTIFICATE": str(certificate),
            "RADSTREAM_TLS_CA": str(authority.path),
        }
        return Secured(listen(**{**own, **environment}), port, authority, certificate, authority.issue("modality"))

    return begin


def _tools(secured: Secured, tool: str, *words: str) -> "subprocess.CompletedProcess[str]":
    tls = ["+tls", str(secured.client.with_suffix(".key")), str(secured.client), "+cf", str(secured.authority.path)]
    command = [tool, "-v", *tls, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_dcmtk_verifies_and_stores_by_tls(secure: Callable[..., Secured], tmp_path: Path) -> None:
    """Echoscu and storescu with certificates; the association's line names the version of TLS."""
    secured = secure()
    name = get_testdata_file("CT_small.dcm", download=False)
    file = tmp_path / "ct.dcm"
    dataset = dcmread(str(name))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = film().uid
    dataset.save_as(file)

    echo = _tools(secured, "echoscu", "127.0.0.1", str(secured.port))
    store = _tools(secured, "storescu", "127.0.0.1", str(secured.port), str(file))

    assert echo.returncode == 0, echo.stderr
    assert "Response (Success)" in store.stderr + store.stdout, store.stderr
    assert secured.listening.rows_of_uid(str(dataset.SOPInstanceUID))
    until(lambda: '"tls": "TLSv1.' in secured.listening.service.log.read_text(), 10, "TLS is not in the log")


def test_the_command_sends_by_tls(secure: Callable[..., Secured], tmp_path: Path) -> None:
    """`radstream send --tls` finds the port, trusts the authority and shows its certificate; a large image passes."""
    secured = secure()
    one = film()
    file = tmp_path / "large.dcm"
    file.write_bytes(preamble_and_meta(CHEST, one.uid, EXPLICIT) + one.data(PixelData=bytes(3_000_000)))

    sent = subprocess.run(
        [
            sys.executable,
            "-m",
            "radstream.commands",
            "send",
            str(file),
            "--tls",
            "--json",
            "--tls-ca",
            str(secured.authority.path),
            "--tls-cert",
            str(secured.client),
        ],
        env=plain_environment() | {"RADSTREAM_DICOM_TLS_PORT": str(secured.port), "RADSTREAM_STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert sent.returncode == 0, sent.stdout + sent.stderr
    (event,) = secured.listening.events(one)
    assert event.size_bytes > 3_000_000


def test_a_peer_without_a_certificate_is_refused(secure: Callable[..., Secured]) -> None:
    """RADSTREAM_TLS_CLIENTS=required: no association, and the others go on."""
    secured = secure()

    with pytest.raises((ssl.SSLError, OSError, Closed)), TlsScu(secured.port, secured.context()) as scu:
        scu.associate()
    with secured.scu() as scu:
        assert scu.associate().kind == ACCEPT


def test_weak_ciphers_are_refused(secure: Callable[..., Secured]) -> None:
    """TLS 1.2 without forward secrecy or authenticated encryption is none of BCP 195."""
    secured = secure()
    context = secured.context(secured.client)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")

    with pytest.raises((ssl.SSLError, OSError)):
        TlsScu(secured.port, context)
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    with TlsScu(secured.port, context) as scu:
        assert scu.associate().kind == ACCEPT


def test_half_open_peers_delay_nobody(secure: Callable[..., Secured]) -> None:
    """200 connections that never end their handshake, half of them silent from the start: a good peer is served."""
    secured = secure(RADSTREAM_ARTIM_SECONDS="120")

    with contextlib.ExitStack() as open_until_here:
        silent = [
            open_until_here.enter_context(socket.create_connection(("127.0.0.1", secured.port)))
            for _ in range(HALF_OPEN)
        ]
        for peer in silent[::2]:
            peer.send(b"\x16\x03\x01")  # the first bytes of a ClientHello
        one = film()
        with secured.scu() as scu:
            assert scu.associate().kind == ACCEPT
            assert scu.store(one.data(), one.uid) == StoreStatus.SUCCESS

        for peer in silent:
            peer.setblocking(False)
            with pytest.raises(BlockingIOError):  # they stand: nobody closed them
                peer.recv(1)


def test_a_certificate_that_is_not_listed_is_rejected(secure: Callable[..., Secured], tmp_path: Path) -> None:
    """RADSTREAM_ALLOWED_CERTIFICATES: signed by the authority, but not on the list: 1/1/1."""
    listed = Authority(tmp_path).issue("listed")
    secured = secure(RADSTREAM_ALLOWED_CERTIFICATES=f"{'00' * 32},{fingerprint(listed)}")

    with secured.scu() as scu:
        answer = scu.associate()

    assert answer.kind == REJECT
    assert tuple(answer.body[1:]) == (1, 1, 1)


def test_a_new_certificate_counts_without_a_restart(secure: Callable[..., Secured]) -> None:
    """New associations get it, old ones go on; one that can't be used is logged, and the one before stays.

    In one process: each looks when a connection comes, so another may know an older one.
    """
    secured = secure(RADSTREAM_LISTENER_PROCESSES="1")
    first = secured.certificate.read_bytes()
    with secured.scu() as before:
        assert before.associate().kind == ACCEPT
        shown = before.tls.getpeercert(binary_form=True)
        secured.authority.issue("listener")
        with secured.scu() as after:
            renewed = after.tls.getpeercert(binary_form=True)
            assert after.associate().kind == ACCEPT
        secured.certificate.write_text("no certificate")
        with secured.scu() as later:
            assert later.tls.getpeercert(binary_form=True) == renewed
        one = film()
        assert before.store(one.data(), one.uid) == StoreStatus.SUCCESS

    assert first != secured.certificate.read_bytes()
    assert shown != renewed
    assert "certificate can't be used" in secured.listening.service.log.read_text()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"RADSTREAM_TLS_CA": ""}, "needs RADSTREAM_TLS_CA"),
        ({"RADSTREAM_TLS_KEY": "/nowhere.key"}, "can't be used"),
    ],
)
def test_a_certificate_that_can_not_be_used_ends_the_start(
    environment: dict[str, str], words: str, listen: Callable[..., Listening], tmp_path: Path
) -> None:
    """One line that says what is wrong, exit status 1."""
    authority = Authority(tmp_path)
    own = {
        "RADSTREAM_DICOM_TLS_PORT": str(unused_port()),
        "RADSTREAM_TLS_CERTIFICATE": str(authority.issue("listener")),
        "RADSTREAM_TLS_CA": str(authority.path),
    }

    listening = listen(wait=False, **{**own, **environment})

    assert listening.service.wait_exit(60) == 1
    assert words in listening.service.tail()
    assert "Traceback" not in listening.service.log.read_text()


def test_without_the_plain_port_only_tls_is_answered(secure: Callable[..., Secured]) -> None:
    """RADSTREAM_DICOM_PORT=0 opens no port without TLS."""
    secured = secure(RADSTREAM_DICOM_PORT="0")
    one = film()

    with secured.scu() as scu:
        assert scu.associate().kind == ACCEPT
        assert scu.store(one.data(), one.uid) == StoreStatus.SUCCESS

    ports = {line.split()[1].rpartition(":")[2] for line in _listening_sockets(secured.listening.service.pid)}
    assert f"{secured.port:04X}" in ports
    assert f"{secured.listening.port:04X}" not in ports
    assert len(ports) == 2  # TLS and metrics


def _listening_sockets(pid: int) -> list[str]:
    """List the lines of /proc/net/tcp of a process's listening sockets."""
    inodes = {str(entry.readlink())[8:-1] for entry in Path(f"/proc/{pid}/fd").iterdir() if _is_socket(entry)}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return [" ".join(words) for words in lines if words[3] == "0A" and words[9] in inodes]


def _is_socket(entry: Path) -> bool:
    with contextlib.suppress(OSError):
        return str(entry.readlink()).startswith("socket:[")
    return False


def test_no_port_at_all_is_refused(listen: Callable[..., Listening]) -> None:
    """RADSTREAM_DICOM_PORT=0 without a certificate is no free port: nothing could reach us, and it says so."""
    listening = listen(wait=False, RADSTREAM_DICOM_PORT="0")

    assert listening.service.wait_exit() == 1
    assert "RADSTREAM_TLS_CERTIFICATE" in listening.service.tail()
