"""The sender against a real SCP over a real socket."""

import gc
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import split_dataset

from radstream.commands.send import send_paths, tls_context
from radstream.commands.send_files import Film, film_of
from radstream.commands.send_scu import Answer, Pace, Peer, send_films
from tests.running import unused_port


@pytest.fixture
def collected() -> Iterator[None]:
    """Collect what pynetdicom left, here, so that no other test is blamed for it."""
    yield
    gc.collect()


def films(paths: Sequence[Path], folder: Path) -> list[Film]:
    """Read files that are known to be films."""
    return [film for path in paths if (film := film_of(path, folder))]


def sent(paths: Sequence[Path], peer: Peer, folder: Path, **pace: Any) -> list[Answer]:
    """Send and collect the answers."""
    return list(send_films(films(paths, folder), peer, Pace(**pace)))


def test_each_file_arrives_in_its_own_syntax_byte_for_byte(archive: Any, phantoms: list[Path], tmp_path: Path) -> None:
    """Nothing is transcoded: the data set that arrives is the file's, in the file's transfer syntax."""
    answers = sent(phantoms, archive.peer, tmp_path)

    assert {answer.status for answer in answers} == {"0x0000"}
    for path in phantoms:
        meta, offset = split_dataset(path)
        stored = next(one for one in archive.stored if one.sop_instance_uid == meta.MediaStorageSOPInstanceUID)
        assert stored.transfer_syntax_uid == meta.TransferSyntaxUID
        assert stored.data_set == path.read_bytes()[offset:]


def test_stat_is_dimse_priority_high(archive: Any, phantoms: list[Path], tmp_path: Path) -> None:
    """`--stat` sets Priority (0000,0700) to HIGH, its absence to MEDIUM (PS3.7 9.3.1.1)."""
    sent(phantoms[:1], archive.peer, tmp_path, stat=True)
    sent(phantoms[1:2], archive.peer, tmp_path)

    assert [one.priority for one in archive.stored] == [1, 0]


def test_several_associations_share_the_files(archive: Any, phantoms: list[Path], tmp_path: Path) -> None:
    """Each file is sent once, over at most as many associations as were asked for."""
    answers = sent(phantoms * 3, archive.peer, tmp_path, associations=3)

    assert len(answers) == len(archive.stored) == 27
    assert len({one.association for one in archive.stored}) <= 3


def test_rate_holds_the_sender_back(archive: Any, phantoms: list[Path], tmp_path: Path) -> None:
    """Ten images at 20 a second take at least nine gaps of 50 ms, over all associations together."""
    began = time.monotonic()

    sent([phantoms[4]] * 10, archive.peer, tmp_path, images_per_second=20, associations=4)

    assert time.monotonic() - began >= 9 / 20


def test_a_syntax_that_is_refused_is_rejected_and_the_rest_goes_on(
    archive_with: Any, phantoms: list[Path], tmp_path: Path
) -> None:
    """A file whose presentation context was refused is not transcoded behind the sender's back."""
    archive = archive_with([ExplicitVRLittleEndian, ImplicitVRLittleEndian])

    answers = sent(phantoms, archive.peer, tmp_path)

    plain = {ExplicitVRLittleEndian, ImplicitVRLittleEndian}
    assert {one.film.transfer_syntax_uid in plain for one in answers if one.status == "0x0000"} == {True}
    assert {one.film.transfer_syntax_uid in plain for one in answers if one.status == "rejected"} == {False}


def test_a_rejected_association_is_rejected(archive_with: Any, phantoms: list[Path], tmp_path: Path) -> None:
    """A-ASSOCIATE-RJ makes every file `rejected`."""
    archive = archive_with(called=True)
    stranger = Peer(host="127.0.0.1", port=archive.port, called_ae="NOBODY", calling_ae="SENDER")

    answers = sent(phantoms[:2], stranger, tmp_path)

    assert [one.status for one in answers] == ["rejected", "rejected"]
    assert [one.ack_ms for one in answers] == [None, None]


def test_a_lost_connection_is_told_and_the_next_file_gets_a_new_association(
    archive: Any, phantoms: list[Path], tmp_path: Path
) -> None:
    """What was under way when the association broke is `aborted`; it isn't sent again in silence."""
    archive.drop_after = 1

    answers = sent(phantoms[:3], archive.peer, tmp_path)

    assert [one.status for one in answers] == ["0x0000", "aborted", "aborted"]


# pynetdicom leaves the socket of a refused connection to the garbage collector
@pytest.mark.usefixtures("collected")
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
def test_nobody_there_is_aborted(phantoms: list[Path], tmp_path: Path) -> None:
    """A closed port answers no file."""
    nobody = Peer(host="127.0.0.1", port=unused_port(), called_ae="X", calling_ae="SENDER")

    assert [one.status for one in sent(phantoms[:2], nobody, tmp_path)] == ["aborted", "aborted"]


def test_another_status_is_shown_as_it_came(archive: Any, phantoms: list[Path], tmp_path: Path) -> None:
    """A refusal's DIMSE status stands in four hexadecimal digits."""
    archive.status = 0xA700

    assert [one.status for one in sent(phantoms[:1], archive.peer, tmp_path)] == ["0xA700"]


def test_rows_name_every_file_with_its_identifiers(archive: Any, phantoms: list[Path], tmp_path: Path) -> None:
    """A file that is no image is `not_dicom` and doesn't hold up the others."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.dcm").write_bytes(phantoms[0].read_bytes())
    (tmp_path / "in" / "b.txt").write_text("no image")

    rows = list(send_paths([tmp_path / "in"], archive.peer, Pace(), tmp_path))

    data_set = dcmread(phantoms[0], stop_before_pixels=True)
    assert {row["file"]: row["status"] for row in rows} == {
        str(tmp_path / "in" / "a.dcm"): "0x0000",
        str(tmp_path / "in" / "b.txt"): "not_dicom",
    }
    good = next(row for row in rows if row["status"] == "0x0000")
    assert (good["sop_instance_uid"], good["study_instance_uid"]) == (
        data_set.SOPInstanceUID,
        data_set.StudyInstanceUID,
    )
    assert isinstance(good["ack_ms"], float)


# as above: a refused handshake, too
@pytest.mark.usefixtures("collected")
@pytest.mark.filterwarnings("ignore:Exception ignored in. <s:pytest.PytestUnraisableExceptionWarning")
def test_tls_reaches_a_peer_that_it_trusts_and_no_other(
    archive_with: Any, phantoms: list[Path], tmp_path: Path
) -> None:
    """`--tls` checks the listener's certificate against what was trusted (PS3.15 B.9)."""
    certificate, key = self_signed(tmp_path)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate, key)
    plain = archive_with(tls=server).peer

    trusting = sent(phantoms[:1], replace(plain, tls=tls_context(certificate, None)), tmp_path)
    stranger = sent(phantoms[:1], replace(plain, tls=tls_context(None, None)), tmp_path)

    assert [one.status for one in trusting] == ["0x0000"]
    assert [one.status for one in stranger] == ["aborted"]


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    begin = datetime.now(UTC) - timedelta(hours=1)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files
