"""What the spool notes of an image, for tests that need one."""

from datetime import UTC, datetime

from radstream.spool.entry import Note
from schemas.words import Lane

#: Of three bytes without a preamble; who cares about a field replaces it.
NOTE = Note(
    sop_instance_uid="1.2.3",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    calling_ae="CT1",
    called_ae="RADSTREAM",
    lane=Lane.ROUTINE,
    site="north",
    received_at=datetime(2026, 11, 21, 5, 6, 7, 890123, tzinfo=UTC),
    sha256="ab" * 32,
    size_bytes=3,
    data_set_offset=0,
)
