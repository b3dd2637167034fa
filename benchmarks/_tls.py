"""A certificate for the TLS runs: ours and DCMTK's use the same key."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

_KEY_BITS = 2048


@dataclass(frozen=True, slots=True)
class TlsFlags:
    """What each receiver is told."""

    ours: dict[str, str]
    storescp: tuple[str, ...]


def certificate(folder: Path) -> TlsFlags:
    """Write a self-signed certificate and its key (PEM) for this day."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_file, certificate_file = folder / "key.pem", folder / "certificate.pem"
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return TlsFlags(
        ours={
            "RADSTREAM_TLS_KEY": str(key_file),
            "RADSTREAM_TLS_CERTIFICATE": str(certificate_file),
            "RADSTREAM_TLS_CLIENTS": "none",
        },
        storescp=("--enable-tls", str(key_file), str(certificate_file), "--ignore-peer-cert"),
    )
