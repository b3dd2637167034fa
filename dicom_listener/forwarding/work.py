"""An image on its way from the spool to the log: what is known of it, who waits for it, where it goes."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from dicom_listener.forwarding.publisher import Publisher
from dicom_listener.forwarding.spans import Way
from dicom_listener.forwarding.yielding import Yielding
from dicom_listener.standard.header import Header
from radstream.crash_points import CrashPoints
from radstream.journal.registration import Registered
from radstream.journal.writer import Journal
from radstream.objects.stores import Objects
from radstream.spool.aligned import Held
from radstream.spool.entry import Entry
from radstream.spool.spool import Spool
from radstream.traces import NO_TRACES, Traces
from schemas.identity import Pseudonyms
from schemas.instance_received import InstanceReceived
from schemas.words import Lane

if TYPE_CHECKING:
    from concurrent.futures import Future


@dataclass(slots=True)
class Ticket:
    """What a waiting answer holds."""

    published: threading.Event = field(default_factory=threading.Event)
    answered_at: datetime | None = None
    event_id: UUID | None = None

    def wait(self, seconds: float) -> bool:
        """Wait until the event is in the log; say whether it is."""
        return self.published.wait(seconds)


@dataclass(slots=True, eq=False)
class Work:
    """An entry on its way, with what each step learned. Equal to itself alone."""

    entry: Entry
    ticket: Ticket
    header: Header | None = None
    row: Registered | None = None
    event: InstanceReceived | None = None
    torn: bool = False  # its bytes are not what was received
    way: Way | None = None  # where traces are on
    held: Held | None = None  # its bytes, until they are stored
    storing: "Future[bool] | None" = None  # begun before a carrier took it

    @property
    def is_repeat(self) -> bool:
        """Whether the image is known to be in the log, and its object in the store."""
        return self.row is not None and self.row.is_published and self.row.state != "purged"

    @property
    def study(self) -> str:
        """The Study Instance UID; those whose header was not read yet count as one study."""
        return (self.header.get("study_instance_uid") or "") if self.header else ""

    def let_go(self) -> None:
        """Give its memory back: it is stored, or will be read back."""
        held, self.held = self.held, None
        if held is not None:
            held.free()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Where images are forwarded to."""

    spool: Spool
    journal: Journal
    objects: Objects
    publishers: Sequence[tuple[Lane, Publisher]]  # a carrier each
    pseudonyms: Sequence[Pseudonyms]
    bucket: str
    crash_points: CrashPoints
    yielding: Yielding
    traces: Traces = NO_TRACES
