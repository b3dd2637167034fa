"""Senders of others: DCMTK's and pynetdicom's commands, as people call them."""

import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined] # made at import

from dicom_listener.standard.statuses import StoreStatus
from tests.integration.listener.conftest import Listening
from tests.running import unused_port

pytestmark = pytest.mark.stack

DCMSEND = ("dcmsend", "-v")
#: pydicom's own test files that lie in its package, one a transfer syntax, and how DCMTK sends each as it is.
FILES = {
    "CT_small.dcm": DCMSEND,  # explicit VR little endian
    "MR_small_implicit.dcm": ("storescu", "-v", "-xi"),
    "MR_small_bigendian.dcm": ("storescu", "-v", "-xb"),
    "MR_small_RLE.dcm": DCMSEND,
    "SC_rgb_jpeg_dcmtk.dcm": DCMSEND,  # JPEG baseline
    "JPEG-lossy.dcm": DCMSEND,  # JPEG extended
    "MR_small_jpeg_ls_lossless.dcm": DCMSEND,
    "JPEG2000.dcm": DCMSEND,
    "image_dfl.dcm": DCMSEND,  # deflated
}


def copied(name: str, folder: Path) -> Path:
    """Copy one of pydicom's files."""
    found = get_testdata_file(name, download=False)
    if found is None:
        pytest.fail(f"{name} is not in pydicom's package")
    return Path(shutil.copy(str(found), folder / name))


def run(*command: str) -> str:
    """Run a sender; give what it said. It must end with status 0."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", FILES)
def test_dcmtk_sends_what_it_has(name: str, shared_listening: Listening, tmp_path: Path) -> None:
    """Each syntax is taken as it is: the sender converts nothing, nor do we."""
    file = copied(name, tmp_path)
    dataset = dcmread(file)

    said = run(*FILES[name], "127.0.0.1", str(shared_listening.port), str(file))

    assert "Response (Success)" in said
    # Several of these files are one instance in several syntaxes: revisions of each other.
    ids = {str(row["event_id"]) for row in shared_listening.rows_of_uid(str(dataset.SOPInstanceUID))}
    events = [event for event in shared_listening.all_events() if str(event.event_id) in ids]
    assert str(dataset.file_meta.TransferSyntaxUID) in {event.transfer_syntax_uid for event in events}
    assert {event.modality for event in events} == {dataset.get("Modality") or None}


def test_echoscu_is_answered(shared_listening: Listening) -> None:
    """C-ECHO with each transfer syntax that echoscu proposes."""
    said = run("echoscu", "-v", "-pts", "4", "127.0.0.1", str(shared_listening.port))

    assert "Received Echo Response (Success)" in said


def test_dcmsend_sends_a_folder_in_one_association(shared_listening: Listening, tmp_path: Path) -> None:
    """Mixed classes and syntaxes: each file gets Success."""
    for name in FILES:
        if name != "MR_small_bigendian.dcm":  # dcmsend's own default refuses retired syntaxes
            copied(name, tmp_path)

    said = run("dcmsend", "-v", "+sd", "127.0.0.1", str(shared_listening.port), str(tmp_path))

    assert f"with status SUCCESS  : {len(FILES) - 1}" in said


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_implicit.dcm"])
def test_pynetdicoms_storescu_is_answered(name: str, shared_listening: Listening, tmp_path: Path) -> None:
    """Its command; of itself it proposes uncompressed syntaxes alone."""
    command = (sys.executable, "-m", "pynetdicom", "storescu", "-v", "127.0.0.1", str(shared_listening.port))

    said = run(*command, str(copied(name, tmp_path)))

    assert "Received Store Response (Status: 0x0000 - Success)" in said


def test_pynetdicoms_echoscu_is_answered(shared_listening: Listening) -> None:
    """Its command."""
    said = run(sys.executable, "-m", "pynetdicom", "echoscu", "-v", "127.0.0.1", str(shared_listening.port))

    assert "Received Echo Response (Status: 0x0000 - Success)" in said


@pytest.fixture
def over_tls(listen: Callable[..., Listening], tmp_path: Path) -> tuple[Listening, Path, Path]:
    """Give a listener by its TLS port, where both sides show a certificate; here it is one, with its key."""
    certificate, key, port = tmp_path / "cert.pem", tmp_path / "key.pem", unused_port()
    run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
    )
    listening = listen(
        RADSTREAM_DICOM_TLS_PORT=str(port),
        RADSTREAM_TLS_CERTIFICATE=str(certificate),
        RADSTREAM_TLS_KEY=str(key),
        RADSTREAM_TLS_CA=str(certificate),
    )
    return replace(listening, port=port), certificate, key


def test_dcmtk_is_answered_over_tls(over_tls: tuple[Listening, Path, Path], tmp_path: Path) -> None:
    """DCMTK's two BCP 195 profiles (PS3.15 B.9, B.10), both certificates checked."""
    listening, certificate, key = over_tls
    tls = ("+tls", str(key), str(certificate), "+cf", str(certificate))
    here = ("127.0.0.1", str(listening.port))
    file = copied("CT_small.dcm", tmp_path)

    for profile in ("+py", "+px"):
        echoed = run("echoscu", "-v", *tls, profile, *here)
        sent = run("storescu", "-v", *tls, profile, *here, str(file))

        assert "Received Echo Response (Success)" in echoed
        assert "Received Store Response (Success)" in sent


def test_pynetdicom_is_answered_over_tls(over_tls: tuple[Listening, Path, Path]) -> None:
    """Its command takes no TLS, its library does."""
    listening, certificate, key = over_tls
    context = ssl.create_default_context(cafile=certificate)
    context.load_cert_chain(certificate, key)
    ae = AE("TLS")
    ae.add_requested_context(Verification)

    assoc = ae.associate("127.0.0.1", listening.port, tls_args=(context, "localhost"))
    status = assoc.send_c_echo()
    assoc.release()

    assert status.Status == StoreStatus.SUCCESS
