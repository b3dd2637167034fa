"""The listener's journal, written by hand for images that no listener received."""

from contextlib import closing
from datetime import UTC, datetime

from radstream.postgres import connect
from radstream.settings import Settings
from schemas.instance_received import InstanceReceived

_INSERT = """
    INSERT INTO journal (event_id, instance_pseudonym, study_pseudonym, key_id, revision, identity_changed, calling_ae,
        site, lane, object_key, size_bytes, identifiers, state, slot, received_at, published_at, acknowledged_at)
    VALUES (%s, %s, %s, '1', 1, false, %s, 'SITE', %s, %s, 1, '', %s, 'test', %s, %s, %s)
"""


def enter(
    settings: Settings,
    *events: InstanceReceived,
    ae: str = "TEST",
    state: str = "acknowledged",
    at: datetime | None = None,
) -> None:
    """Say that events were published and acknowledged at a time (now), or purged after that."""
    when = at or datetime.now(UTC)
    with closing(connect(settings)) as connection, connection, connection.cursor() as cursor:
        for one in events:
            cursor.execute(
                _INSERT,
                (
                    *(str(one.event_id), one.instance_pseudonym, one.study_pseudonym, ae, str(one.lane)),
                    *(one.object_key, state, one.received_at, when, when),
                ),
            )
