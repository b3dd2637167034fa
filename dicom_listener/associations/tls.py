"""TLS of the listener: PS3.15 B.12, the BCP 195 profile (TLS 1.2 and 1.3, no way down), certificates read anew.

A certificate that changed on disk counts for the next connection; one that can't be used is logged, and the old stays.
"""

import hashlib
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path

from radstream.logs import get_log
from radstream.settings import Settings
from schemas.errors import SettingInvalid

#: RFC 9325 4.2: forward secrecy and authenticated encryption; TLS 1.3's own suites are all of that kind.
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
)
_VERIFY: Mapping[str, ssl.VerifyMode] = {
    "required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
}


class TlsIdentity:
    """The listener's certificate, as it stands on disk. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        """Read the files; raise SettingInvalid where they can't be used."""
        if settings.tls_certificate is None:
            raise SettingInvalid("RADSTREAM_TLS_CERTIFICATE is not set")
        if settings.tls_clients != "none" and settings.tls_ca is None:
            raise SettingInvalid(
                f"RADSTREAM_TLS_CLIENTS={settings.tls_clients} needs RADSTREAM_TLS_CA: who signs for peers"
            )
        self._certificate, self._key, self._ca = settings.tls_certificate, settings.tls_key, settings.tls_ca
        self._clients = settings.tls_clients
        self._allowed = settings.allowed_certificates
        self._lock = threading.Lock()
        try:
            self._seen = self._stamps()
            self._context = self._read()
        except (OSError, ssl.SSLError) as error:
            raise SettingInvalid(
                f"RADSTREAM_TLS_CERTIFICATE={self._certificate}, its key or RADSTREAM_TLS_CA can't be used "
                f"({type(error).__name__}): use PEM files that belong together"
            ) from error

    def context(self) -> ssl.SSLContext:
        """Give the context for the next connection."""
        with self._lock:
            try:
                stamps = self._stamps()
                if stamps != self._seen:
                    self._seen = stamps
                    self._context = self._read()
                    get_log().info("certificate read anew", setting="RADSTREAM_TLS_CERTIFICATE")
            except (OSError, ssl.SSLError) as error:
                get_log().error("certificate can't be used", setting="RADSTREAM_TLS_CERTIFICATE", exc_info=error)
            return self._context

    def calling_context(self) -> ssl.SSLContext:
        """Give the context for a connection that we open: the same certificate, the same authority of peers.

        Names in a certificate are not compared: they mean little in devices; `may_be_peer` asks for the fingerprint.
        Raises OSError, ssl.SSLError where the files can't be used.
        """
        context = _profile(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        context.check_hostname = False
        context.load_cert_chain(self._certificate, self._key, password=_no_password)
        context.load_verify_locations(self._ca)
        return context

    def may_be_peer(self, shown: str | None) -> bool:
        """Say whether a peer's certificate is among those that are let in, where any are listed."""
        return not self._allowed or shown in self._allowed

    def _stamps(self) -> list[tuple[int, int]]:
        files = [self._certificate, self._key or self._certificate, self._ca or self._certificate]
        return [(found.st_mtime_ns, found.st_ino) for found in map(Path.stat, files)]

    def _read(self) -> ssl.SSLContext:
        context = _profile(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        context.options |= ssl.OP_NO_TICKET  # a resumed session would outlive a certificate that was taken back
        context.num_tickets = 0
        context.load_cert_chain(self._certificate, self._key, password=_no_password)
        context.verify_mode = _VERIFY[self._clients]
        if self._ca is not None:
            context.load_verify_locations(self._ca)
        return context


def _profile(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def fingerprint(peer: ssl.SSLSocket) -> str | None:
    """Give the SHA-256 of a peer's certificate in hex; None where it showed none."""
    certificate = peer.getpeercert(binary_form=True)
    return hashlib.sha256(certificate).hexdigest() if certificate else None


def _no_password() -> str:
    raise ssl.SSLError("the private key is encrypted")
