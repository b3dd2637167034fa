"""Parent and workers: what is killed comes back or ends, limits hold across processes, slots are adopted."""

import os
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from dicom_listener.crash_points import Step
from dicom_listener.standard.statuses import StoreStatus
from radstream.stack.probes import health
from radstream.stack.supervision import alive
from tests.integration.listener.conftest import Listening
from tests.integration.listener.films import Film, film
from tests.integration.listener.raw_scu import ACCEPT, REJECT, Closed, Pdu, RawScu
from tests.running import until

pytestmark = pytest.mark.stack


def _rejection(pdu: Pdu) -> tuple[int, ...]:
    assert pdu.kind == REJECT
    return tuple(pdu.body[1:])


def _metrics(listening: Listening) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{listening.service.metrics_port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def _metric(listening: Listening, name: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in _metrics(listening).splitlines() if line.startswith(name))


def test_workers_end_when_their_parent_is_killed(listen: Callable[..., Listening]) -> None:
    """SIGKILL to the parent alone: no worker is left, and a new listener takes the slots at once."""
    listening = listen(RADSTREAM_LISTENER_PROCESSES="2")
    workers = listening.service.workers()

    os.kill(listening.service.pid, signal.SIGKILL)
    listening.service.wait_exit()
    until(lambda: not any(alive(worker) for worker in workers), 10, "a worker outlives its parent")
    listening.service.start()

    assert len(workers) == 2
    assert listening.send(film()) == StoreStatus.SUCCESS


def test_a_worker_that_is_killed_is_started_again(listen: Callable[..., Listening]) -> None:
    """The other worker goes on meanwhile; the health says what is missing; the slots of the dead are free again."""
    listening = listen(RADSTREAM_LISTENER_PROCESSES="2", RADSTREAM_MAXIMUM_ASSOCIATIONS="2")
    with RawScu(listening.port) as one, RawScu(listening.port) as two:
        assert one.associate().kind == ACCEPT
        assert two.associate().kind == ACCEPT
        victim = listening.service.workers()[1]
        os.kill(victim, signal.SIGKILL)
        until(lambda: "service (test-" in health(listening.service.metrics_port), 10, "nobody missed the worker")

        assert {_lives(one), _lives(two)} == {True, False}

    listening.wait_restarted(victim)
    assert listening.send(film()) == StoreStatus.SUCCESS
    assert _metric(listening, "radstream_listener_worker_ends_total") == 1
    until(lambda: _metric(listening, "radstream_listener_open_associations") == 0, 10, "slots are not free")


def _lives(scu: RawScu) -> bool:
    one = film()
    try:
        return scu.store(one.data(), one.uid) == StoreStatus.SUCCESS
    except (Closed, OSError):
        return False


def test_no_worker_notices_that_the_fork_server_is_killed(listen: Callable[..., Listening]) -> None:
    """An association goes on; another fork server comes; a worker that is killed then has a successor."""
    listening = listen(RADSTREAM_LISTENER_PROCESSES="1")
    (worker,) = listening.service.workers()
    server = listening.service.fork_server()
    assert server is not None

    with RawScu(listening.port) as scu:
        assert scu.associate().kind == ACCEPT
        os.kill(server, signal.SIGKILL)
        until(lambda: listening.service.fork_server() not in {None, server}, 30, "no other fork server came")
        assert _lives(scu)
    assert listening.service.workers() == [worker]

    os.kill(worker, signal.SIGKILL)
    listening.wait_restarted(worker)
    assert listening.send(film()) == StoreStatus.SUCCESS


def test_workers_share_what_they_import(listen: Callable[..., Listening]) -> None:
    """A process more costs under 60 MB of memory of its own, after images; with its own interpreter it was 75."""
    listening = listen(RADSTREAM_LISTENER_PROCESSES="2")
    for _ in range(6):
        assert listening.send(film()) == StoreStatus.SUCCESS

    assert all(_private_mb(worker) < 60 for worker in listening.service.workers())


def _private_mb(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    return sum(int(line.split()[1]) for line in rollup if line.startswith("Private_")) / 1024


def test_workers_that_die_again_and_again_end_the_service(listen: Callable[..., Listening]) -> None:
    """Exit status 1, so that the supervisor sees it."""
    listening = listen()

    def killed_until_it_ends() -> bool:
        if not listening.service.running:
            return True
        for worker in listening.service.workers():
            os.kill(worker, signal.SIGKILL)
        return False

    until(killed_until_it_ends, 60, "it goes on")

    assert listening.service.exit_status == 1
    assert "workers_die" in listening.service.tail()


def test_a_slot_that_nobody_holds_is_adopted(listen: Callable[..., Listening]) -> None:
    """Kill -9 with two processes amid many images, then a start with one: each acknowledged image has one event."""
    listening = listen(RADSTREAM_LISTENER_PROCESSES="2")
    films = [film() for _ in range(120)]
    acknowledged: list[str] = []
    senders = [
        threading.Thread(target=_send_all, args=(listening.port, films[part::4], acknowledged)) for part in range(4)
    ]
    for sender in senders:
        sender.start()
    until(lambda: len(acknowledged) >= 30, 60, "too slow")
    listening.service.kill9()
    for sender in senders:
        sender.join()
    (folder,) = [path for path in listening.spool.iterdir() if path.name.endswith("-1")]
    left = _forwarded_again(folder)

    listening.service.start(RADSTREAM_LISTENER_PROCESSES="1")
    until(lambda: not list(folder.glob("*.d*")), 60, "the slot was not adopted")
    listening.wait_empty(60)

    assert left, "the second process had nothing"
    events = [str(event.event_id) for event in listening.events(*films)]
    assert len(events) == len(set(events))
    sent = {one.uid: one for one in films}
    assert all(str(listening.rows(sent[uid])[0]["event_id"]) in events for uid in acknowledged)


def _forwarded_again(folder: Path) -> list[Path]:
    """Have what was forwarded forwarded again, so that the adopter has something to settle."""
    for path in folder.glob("*.done"):
        path.rename(path.with_suffix(".dcm"))
    return list(folder.glob("*.dcm"))


def _send_all(port: int, films: list[Film], acknowledged: list[str]) -> None:
    with RawScu(port) as scu:
        try:
            assert scu.associate().kind == ACCEPT
            for one in films:
                assert scu.store(one.data(), one.uid) == StoreStatus.SUCCESS
                acknowledged.append(one.uid)
        except (Closed, OSError):
            return


@pytest.mark.parametrize("step", [Step.BEFORE_COMMIT, Step.AFTER_COMMIT])
def test_the_doubt_of_an_adopted_slot_is_settled_at_once(step: Step, listen: Callable[..., Listening]) -> None:
    """Killed around the commit: the adopter fences the dead one's id, and does not wait until its doubts are stale."""
    listening = listen(RADSTREAM_DIE_AT=step)
    one = film()
    with pytest.raises(Closed):
        listening.send(one)
    listening.service.kill9()

    other = listen(RADSTREAM_LISTENER_SLOT=f"adopts-{listening.port}")
    other.wait_empty(25)

    assert len(other.events(one)) == 1


def test_the_limit_holds_across_processes_and_echo_is_answered(listen: Callable[..., Listening]) -> None:
    """Two processes, two slots: the third association gets 2/3/2, one that only verifies gets its answer."""
    listening = listen(RADSTREAM_LISTENER_PROCESSES="2", RADSTREAM_MAXIMUM_ASSOCIATIONS="2")

    with ExitStack() as open_until_here:
        for _ in range(2):
            assert open_until_here.enter_context(RawScu(listening.port)).associate().kind == ACCEPT
        with RawScu(listening.port) as third:
            assert _rejection(third.associate()) == (2, 3, 2)
        echo = subprocess.run(["echoscu", "127.0.0.1", str(listening.port)], check=False, timeout=60)
        assert echo.returncode == 0
        assert _metric(listening, "radstream_listener_open_associations") >= 2


def test_one_calling_ae_has_a_limit_of_its_own(listen: Callable[..., Listening]) -> None:
    """RADSTREAM_MAXIMUM_ASSOCIATIONS_PER_AE: 2/3/2 for the one, others are let in; counted by cause and AE."""
    listening = listen(RADSTREAM_MAXIMUM_ASSOCIATIONS_PER_AE="1", RADSTREAM_ALLOWED_AES="CT1,CT2")

    with RawScu(listening.port, "CT1") as one, RawScu(listening.port, "CT1") as two, RawScu(listening.port, "CT2") as b:
        assert one.associate().kind == ACCEPT
        assert _rejection(two.associate()) == (2, 3, 2)
        assert b.associate().kind == ACCEPT

    counted = 'radstream_listener_association_refusals_total{ae="CT1",cause="ae_limit"}'
    until(lambda: _metric(listening, counted) == 1, 10, "the refusal was not counted")


def test_an_address_that_may_not_connect_is_closed_at_once(listen: Callable[..., Listening]) -> None:
    """RADSTREAM_ALLOWED_ADDRESSES: nothing is read, nothing is answered."""
    listening = listen(RADSTREAM_ALLOWED_ADDRESSES="10.0.0.0/8")

    with RawScu(listening.port) as scu, pytest.raises((Closed, OSError)):
        scu.associate()

    assert _metric(listening, 'radstream_listener_refused_connections_total{cause="address"}') == 1


def test_a_sender_over_its_rate_is_read_more_slowly(listen: Callable[..., Listening]) -> None:
    """Four images a second, a second's worth at once: thirteen take two seconds at least; none is refused."""
    listening = listen(RADSTREAM_MAXIMUM_IMAGES_PER_SECOND="4", RADSTREAM_ACK_POLICY="spool")
    films = [film() for _ in range(13)]

    with RawScu(listening.port) as scu:
        assert scu.associate().kind == ACCEPT
        start = time.monotonic()
        statuses = [scu.store(one.data(), one.uid) for one in films]
        took = time.monotonic() - start

    assert statuses == [StoreStatus.SUCCESS] * len(films)
    assert took >= 2.0


def test_numbers_outlive_a_worker(listen: Callable[..., Listening]) -> None:
    """/metrics shows what all workers did, those that died too."""
    listening = listen(RADSTREAM_LISTENER_PROCESSES="1")
    listening.send(film())
    (killed,) = listening.service.workers()

    os.kill(killed, signal.SIGKILL)
    listening.wait_restarted(killed)
    listening.send(film())

    assert _metric(listening, 'radstream_listener_images_total{status="0x0000"}') == 2
    assert "radstream_listener_ack_seconds_bucket" in _metrics(listening)
    assert _metric(listening, 'radstream_listener_worker_resident_bytes{worker="0"}') > 1e6
