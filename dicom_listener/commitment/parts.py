"""Storage commitment put together from settings."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dicom_listener.associations.tls import TlsIdentity
from dicom_listener.commitment.book import CommitmentBook
from dicom_listener.commitment.reports import Reports, ReportTerms
from dicom_listener.commitment.scp import CommitmentDesk
from dicom_listener.commitment.verdicts import Archive, NoArchive
from radstream.journal.vault import Vault
from radstream.objects.stores import Objects
from radstream.postgres import Transactions, connect
from radstream.settings import Settings
from radstream.spool.spool import waiting
from schemas.errors import SettingInvalid
from schemas.identity import Pseudonyms


def commitment_parts(
    settings: Settings, vault: Vault, pseudonyms: Sequence[Pseudonyms], objects: Objects
) -> tuple[CommitmentDesk, Reports]:
    """Give who takes requests, in every process, and who reports, in one; connects to nothing yet.

    Raises SettingInvalid when commitments would be given for a store that nobody declared durable, or reports go out by
    TLS without a certificate and an authority.
    """
    if settings.commitment == "archive" and not settings.s3_durable:
        raise SettingInvalid(
            "RADSTREAM_COMMITMENT=archive promises that modalities may delete their images: set RADSTREAM_S3_DURABLE=1 "
            "if the object store keeps what it answered through a power cut, else leave RADSTREAM_COMMITMENT=none"
        )
    transactions = Transactions(partial(connect, settings, "commitment"))
    book = CommitmentBook(transactions, vault, pseudonyms[0])
    judge = (
        Archive(transactions, vault, pseudonyms, objects, partial(_spooled, settings.spool))
        if settings.commitment == "archive"
        else NoArchive()
    )
    terms = ReportTerms(
        ae_title=settings.ae_title,
        peers=settings.commitment_peers,
        tls=_identity(settings),
        wait_seconds=settings.commitment_wait_seconds,
        retry_seconds=settings.commitment_retry_seconds,
    )
    reports = Reports(book, judge, terms)
    return CommitmentDesk(book, reports), reports


def _identity(settings: Settings) -> TlsIdentity | None:
    """Give what reports by TLS show and ask for: the listener's own certificate, and its authority of peers."""
    by_tls = [ae for ae, peer in settings.commitment_peers.items() if peer.tls]
    if not by_tls:
        return None
    if settings.tls_certificate is None or settings.tls_ca is None:
        raise SettingInvalid(
            f"RADSTREAM_COMMITMENT_PEERS reports to {', '.join(by_tls)} by TLS: set RADSTREAM_TLS_CERTIFICATE, which "
            "we show, and RADSTREAM_TLS_CA, who signs for peers"
        )
    return TlsIdentity(settings)


def _spooled(root: Path) -> frozenset[str]:
    return frozenset(note.sop_instance_uid for note in waiting(root))
