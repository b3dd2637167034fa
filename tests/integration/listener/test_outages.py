"""Servers that go away: Success comes from the spool after the deadline, and everything is forwarded later, once."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dicom_listener.standard.statuses import StoreStatus
from radstream.stack.components import COMPONENTS
from radstream.stack.probes import health
from radstream.stack.site import Site
from radstream.stack.supervision import Supervisor
from tests.integration.listener.conftest import Listening
from tests.integration.listener.films import film
from tests.integration.listener.raw_scu import ACCEPT, RawScu
from tests.running import until

pytestmark = pytest.mark.stack

DEADLINE_SECONDS = 1.0
BY_NAME = {component.name: component for component in COMPONENTS}


@contextmanager
def away(site: Site, name: str) -> Iterator[None]:
    """Stop a server for a while; return when it is ready again."""
    supervisor = Supervisor(site)
    supervisor.stop([BY_NAME[name]])
    try:
        yield
    finally:
        supervisor.start(BY_NAME[name])
        until(lambda: not BY_NAME[name].ready(site), 60, f"{name} did not come back")


@pytest.mark.parametrize("name", ["postgres", "object_store", "kafka"])
def test_an_image_is_kept_while_a_server_is_away(name: str, site: Site, listen: Callable[..., Listening]) -> None:
    """Success after the deadline, from the spool; in the log once when the server is back, even over a kill -9."""
    listening = listen(RADSTREAM_ACK_DEADLINE_SECONDS=str(DEADLINE_SECONDS))
    before, during, repeated = film(), film(), film()
    listening.send(before)
    listening.wait_empty()

    with away(site, name):
        began = time.monotonic()
        assert listening.send(during) == StoreStatus.SUCCESS
        waited = time.monotonic() - began
        assert listening.send(repeated) == listening.send(repeated) == StoreStatus.SUCCESS
        assert listening.service.running
        assert len(listening.waiting()) == 3
        listening.service.kill9()
        listening.service.start(wait=False)

    listening.service.wait_ready()
    listening.wait_empty(60)
    assert DEADLINE_SECONDS <= waited < 3 * DEADLINE_SECONDS + 2
    for one in (before, during, repeated):
        assert len(listening.events(one)) == 1
    (row,) = listening.rows(during)
    assert row["state"] == "acknowledged"


def test_a_broker_that_freezes_longer_than_a_transaction_lasts(site: Site, listen: Callable[..., Listening]) -> None:
    """Transactions time out under us: the listener goes on by itself, and the log holds each event once."""
    listening = listen(RADSTREAM_ACK_DEADLINE_SECONDS=str(DEADLINE_SECONDS))
    broker = Supervisor(site).states()["kafka"][1]
    pid = listening.service.pid
    films = [film() for _ in range(40)]
    statuses: list[int] = []
    sender = threading.Thread(target=lambda: statuses.extend(_send_all(listening, films)))

    sender.start()
    until(lambda: listening.events(films[0]), 20, "nothing was sent")
    os.kill(broker, signal.SIGSTOP)
    try:
        threading.Event().wait(12)  # longer than transaction.timeout.ms
    finally:
        os.kill(broker, signal.SIGCONT)
    sender.join(120)
    listening.wait_empty(90)

    assert statuses == [StoreStatus.SUCCESS] * len(films)
    assert listening.service.running
    assert listening.service.pid == pid
    events = [event.event_id for event in listening.events(*films)]
    assert (len(events), len(set(events))) == (len(films), len(films))


def _send_all(listening: Listening, films: list) -> list[int]:  # type: ignore[type-arg]
    with RawScu(listening.port) as scu:
        assert scu.associate().kind == ACCEPT
        return [scu.store(one.data(), one.uid) for one in films]


def test_policy_spool_answers_without_waiting(listen: Callable[..., Listening]) -> None:
    """Success comes with the spool's fsync; the event follows."""
    listening = listen(RADSTREAM_ACK_POLICY="spool", RADSTREAM_ACK_DEADLINE_SECONDS="1000")
    one = film()

    assert listening.send(one) == StoreStatus.SUCCESS
    listening.wait_empty()

    assert len(listening.events(one)) == 1
    (row,) = listening.rows(one)
    assert row["acknowledged_at"] is not None


def test_over_the_second_watermark_every_image_is_refused(listen: Callable[..., Listening]) -> None:
    """0xA700 for all, nothing kept; every file system is fuller than a millionth."""
    listening = listen(RADSTREAM_SPOOL_SHED_PERCENT="0.000001", RADSTREAM_SPOOL_REFUSE_PERCENT="0.000002")
    one = film()

    assert listening.send(one, called_ae="RADSTREAM_STAT") == StoreStatus.OUT_OF_RESOURCES

    assert not listening.waiting()
    assert not listening.rows(one)


def test_over_the_first_watermark_stat_is_taken_and_routine_refused(listen: Callable[..., Listening]) -> None:
    """0xA700 for routine images; forwarded files are removed at once; nothing acknowledged is shed."""
    shed = {"RADSTREAM_SPOOL_SHED_PERCENT": "0.000001", "RADSTREAM_SPOOL_REFUSE_PERCENT": "100"}
    listening = listen(RADSTREAM_LISTENER_PROCESSES="1", **shed)
    routine, stat, second = film(), film(), film()

    assert listening.send(routine) == StoreStatus.OUT_OF_RESOURCES
    assert listening.send(stat, called_ae="RADSTREAM_STAT") == StoreStatus.SUCCESS
    assert listening.send(second, called_ae="RADSTREAM_STAT") == StoreStatus.SUCCESS

    assert not listening.rows(routine)
    assert len(list(listening.spool.glob("*/*.done"))) <= 1
    assert len(listening.events(stat)) == len(listening.events(second)) == 1


def test_forwarded_files_go_after_a_checkpoint(listen: Callable[..., Listening]) -> None:
    """They stay until the machine's disks are synced, and go then."""
    listening = listen(RADSTREAM_SPOOL_CHECKPOINT_SECONDS="3")

    listening.send(film())

    until(lambda: len(list(listening.spool.glob("*/*.done"))) == 1, 15, "nothing was forwarded")
    until(lambda: not list(listening.spool.glob("*/*.done")), 15, "forwarded files stay")


def test_after_a_power_cut_forwarded_images_are_checked_again(listen: Callable[..., Listening]) -> None:
    """What local servers answered may be gone with the machine: the object is stored again, the log decides."""
    listening = listen()
    one = film()
    listening.send(one)
    listening.service.stop()
    (event,) = listening.events(one)
    listening.lose_object(event)
    for boot in listening.spool.glob("*/boot"):
        boot.write_text("another boot")

    listening.service.start()
    listening.wait_empty()

    assert listening.object_of(event).endswith(one.data())
    assert len(listening.events(one)) == 1


def test_a_slot_has_one_listener(listen: Callable[..., Listening]) -> None:
    """A second listener on the same slot ends with status 1, and a line of each of its processes."""
    listen(RADSTREAM_LISTENER_SLOT="shared")

    second = listen(wait=False, RADSTREAM_LISTENER_SLOT="shared")

    assert second.service.wait_exit() == 1
    lines = [line for line in second.service.log.read_text().splitlines() if line.startswith("dicom_listener:")]
    assert lines
    assert all("RADSTREAM_LISTENER_SLOT=shared" in line for line in lines)
    assert "Traceback" not in second.service.log.read_text()


def test_a_port_in_use_is_one_line(listen: Callable[..., Listening], listening: Listening) -> None:
    """Exit status 1 and what to do."""
    second = listen(wait=False, RADSTREAM_DICOM_PORT=str(listening.port))

    assert second.service.wait_exit() == 1
    assert f"port {listening.port} is in use" in second.service.tail()
    assert "Traceback" not in second.service.log.read_text()


def test_sigterm_answers_what_is_in_hand(listening: Listening) -> None:
    """An object that is arriving is answered Success; new associations are refused; the exit status is 0."""
    one = film()
    data = one.data()
    with RawScu(listening.port) as scu:
        assert scu.associate().kind == ACCEPT
        scu.command(one.uid)
        scu.data(data[:5000], last=False)
        until(listening.waiting, 5, "nothing arrived")
        os.kill(listening.service.pid, signal.SIGTERM)
        until(lambda: health(listening.service.metrics_port), 5, "still ready")
        scu.data(data[5000:])
        assert scu.status() == StoreStatus.SUCCESS

    assert listening.service.wait_exit(10) == 0
    assert len(listening.events(one)) == 1


def test_a_peer_that_stalls_does_not_hold_up_the_end(listening: Listening) -> None:
    """SIGTERM with an idle association and half an object: ended within 10 s, nothing of the half is left."""
    with RawScu(listening.port) as idle, RawScu(listening.port) as stalled:
        assert idle.associate().kind == ACCEPT
        assert stalled.associate().kind == ACCEPT
        one = film()
        stalled.command(one.uid)
        stalled.data(one.data()[:5000], last=False)
        until(listening.waiting, 5, "nothing arrived")
        os.kill(listening.service.pid, signal.SIGTERM)

        assert listening.service.wait_exit(10) == 0

    listening.service.start()
    assert not listening.waiting()
