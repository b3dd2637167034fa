"""The event that an object put by hand would have: a claim check that any program here can be given."""

from datetime import UTC, datetime
from uuid import uuid4

from schemas.identity import object_key
from schemas.instance_received import InstanceReceived
from schemas.words import Lane


def claim(bucket: str, sha256: str, size_bytes: int, syntax: str) -> InstanceReceived:
    """Give the event of an object by its hash, size (bytes) and transfer syntax."""
    return InstanceReceived(
        event_id=uuid4(),
        instance_pseudonym="2.25.1",
        study_pseudonym="2.25.2",
        key_id="1",
        revision=1,
        object_bucket=bucket,
        object_key=object_key(sha256),
        size_bytes=size_bytes,
        sha256=sha256,
        transfer_syntax_uid=syntax,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        lane=Lane.ROUTINE,
        site="BENCH",
        received_at=datetime.now(UTC),
        calling_ae="BENCH",
    )
