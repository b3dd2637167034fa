"""A server that is away for so long that every queue is full: nothing lost, each event once, memory flat."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dicom_listener.forwarding.forwarder import QUEUE_LIMIT
from dicom_listener.standard.statuses import StoreStatus
from radstream.settings import Settings
from radstream.stack.site import Site
from tests.crash.audit import Auditor, unfinished
from tests.integration.listener.films import Film, film
from tests.integration.listener.raw_scu import ACCEPT, EXPLICIT, RawScu
from tests.integration.listener.test_outages import away
from tests.processes import holdings
from tests.running import Service, until, unused_port

pytestmark = [pytest.mark.stack, pytest.mark.crash, pytest.mark.timeout(900)]

SENDERS = 4
#: More than the listener keeps in memory, so that the rest waits on the disk alone.
IMAGES = QUEUE_LIMIT + 1000
#: What the entries in memory may take, and no more (MiB).
GROWTH_MIB = 64
FORWARDED_SECONDS = 400.0


@pytest.mark.parametrize("policy", ["published", "spool"])
@pytest.mark.parametrize("name", ["postgres", "object_store", "kafka"])
def test_nothing_is_lost_when_every_queue_is_full(
    name: str, policy: str, site: Site, service: Callable[..., Service], tmp_path: Path
) -> None:
    """Success for each image while the spool takes it; each is in the log once when the server is back.

    The answer's deadline is short, so that five thousand images stand for an hour of a hospital's.
    """
    port, spool = unused_port(), tmp_path / "spool"
    calling_ae = f"OUT{port}"
    auditor = Auditor(Settings.from_environment(site.environment), calling_ae)
    listener = service(
        "dicom_listener",
        RADSTREAM_DICOM_PORT=str(port),
        RADSTREAM_SPOOL_DIR=str(spool),
        RADSTREAM_LISTENER_SLOT=calling_ae,
        RADSTREAM_ACK_POLICY=policy,
        RADSTREAM_ACK_DEADLINE_SECONDS="0.02",
        RADSTREAM_SPOOL_CHECKPOINT_SECONDS="5",
    )
    pid = listener.pid
    warm = [film() for _ in range(50)]
    assert send_all(port, calling_ae, warm) == {StoreStatus.SUCCESS}
    films = [film() for _ in range(IMAGES)]
    before = holdings(pid)

    with away(site, name):
        statuses = send_all(port, calling_ae, films)
        during = holdings(pid)
        waiting = len(unfinished(spool))
    until(lambda: not unfinished(spool), FORWARDED_SECONDS, "images still wait in the spool")
    after = holdings(pid)
    events = {auditor.event_of(one.uid, EXPLICIT, one.data()) for one in [*warm, *films]}
    books = auditor.books(events, events)

    print(f"{name}, {policy}: {waiting} waited; {before} before, {during} during, {after} after")  # noqa: T201 - figures
    assert statuses == {StoreStatus.SUCCESS}
    assert waiting >= IMAGES
    assert books.breaches() == []
    assert listener.pid == pid
    assert listener.running
    assert during.rss_mib - before.rss_mib < GROWTH_MIB
    assert after.rss_mib - before.rss_mib < GROWTH_MIB


def send_all(port: int, calling_ae: str, films: Sequence[Film]) -> set[int]:
    """Send films on several associations; give the statuses that came."""
    statuses: set[int] = set()

    def send(part: Sequence[Film]) -> None:
        with RawScu(port, calling_ae=calling_ae) as scu:
            assert scu.associate().kind == ACCEPT
            for one in part:
                statuses.add(scu.store(one.data(), one.uid))
            scu.release()

    threads = [threading.Thread(target=send, args=(films[number::SENDERS],)) for number in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses
