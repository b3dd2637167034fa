"""What several processes of one listener share: a sender's rate, and what arrives; and what idle associations cost."""

import os
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from dicom_listener.standard.statuses import StoreStatus
from tests.integration.listener.conftest import Listening
from tests.integration.listener.films import Film, film
from tests.integration.listener.raw_scu import ACCEPT, VERIFICATION, RawScu
from tests.running import until

pytestmark = pytest.mark.stack

TWO = {"RADSTREAM_LISTENER_PROCESSES": "2", "RADSTREAM_ACK_POLICY": "spool"}


def _store_all(scu: RawScu, films: list[Film]) -> list[int]:
    return [scu.store(one.data(), one.uid) for one in films]


def _associated(stack: ExitStack, listening: Listening, calling_ae: str = "RAW") -> RawScu:
    scu = stack.enter_context(RawScu(listening.port, calling_ae))
    assert scu.associate().kind == ACCEPT
    return scu


def _slots_used(listening: Listening) -> int:
    return sum(any(folder.glob("*.d*")) for folder in listening.spool.iterdir())


def test_a_sender_has_one_rate_in_all_processes(listen: Callable[..., Listening]) -> None:
    """Four images a second over an association in each of two processes: 14 images take 2 s at least, not 1."""
    listening = listen(**TWO, RADSTREAM_MAXIMUM_IMAGES_PER_SECOND="4")
    films = [film() for _ in range(14)]

    with ExitStack() as stack:
        scus = [_associated(stack, listening) for _ in range(2)]
        statuses: list[int] = []
        start = time.monotonic()
        senders = [
            threading.Thread(target=lambda scu, these: statuses.extend(_store_all(scu, these)), args=(scu, these))
            for scu, these in zip(scus, (films[:7], films[7:]), strict=True)
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        took = time.monotonic() - start

    assert statuses == [StoreStatus.SUCCESS] * len(films)
    assert took >= 2.0
    assert _slots_used(listening) == 2


def test_one_association_has_the_whole_rate_while_another_is_silent(listen: Callable[..., Listening]) -> None:
    """What an idle association in another process does not use is not lost: six a second, so twelve in about one."""
    listening = listen(**TWO, RADSTREAM_MAXIMUM_IMAGES_PER_SECOND="6")
    one_more, films = film(), [film() for _ in range(24)]

    with ExitStack() as stack:
        busy, silent = (_associated(stack, listening) for _ in range(2))
        _store_all(silent, [one_more])
        start = time.monotonic()
        _store_all(busy, films)
        took = time.monotonic() - start

    assert 2.5 <= took < 5.5  # half of the rate would take 7 s


def test_forwarding_yields_to_what_arrives_in_another_process(listen: Callable[..., Listening]) -> None:
    """While an object arrives in one process, the other forwards a twentieth of the time; then all at once."""
    listening = listen(**TWO)
    films, slow = [film() for _ in range(60)], film()

    with ExitStack() as stack:
        arriving, quick = (_associated(stack, listening) for _ in range(2))
        arriving.command(slow.uid)
        arriving.data(slow.data()[:2000], last=False)
        assert _store_all(quick, films) == [StoreStatus.SUCCESS] * len(films)
        until(lambda: len(listening.waiting()) < len(films), 60, "nothing is forwarded")
        threading.Event().wait(1.5)  # well over the 0.2 s after which a process that is alone would go on
        left = len(listening.waiting())
        arriving.data(slow.data()[2000:])
        assert arriving.status() == StoreStatus.SUCCESS

    assert left > 1
    listening.wait_empty(30)


def test_idle_associations_cost_next_to_nothing(listen: Callable[..., Listening]) -> None:
    """Sixteen in one process that say nothing: under 3 % of a core more than none; each answers when it is spoken to.

    So many are more than pynetdicom takes by default, and far fewer than our limit.
    """
    listening = listen(RADSTREAM_LISTENER_PROCESSES="1")
    (worker,) = listening.service.workers()
    alone = _cpu_share(worker)

    with ExitStack() as stack:
        scus = [_associated(stack, listening) for _ in range(16)]
        idle = _cpu_share(worker)
        statuses = [scu.store(one.data(), one.uid) for scu, one in zip(scus, [film() for _ in scus], strict=True)]
        for scu in scus:
            scu.release()

    assert idle - alone < 0.03
    assert statuses == [StoreStatus.SUCCESS] * 16


def test_an_association_that_was_idle_answers_at_once(listen: Callable[..., Listening]) -> None:
    """What pynetdicom serves on its own threads is told of, not looked for: 40 echoes, releases included."""
    listening = listen()
    start = time.monotonic()

    for _ in range(40):
        subprocess.run(["echoscu", "127.0.0.1", str(listening.port)], check=True, timeout=60)
    with RawScu(listening.port) as scu:
        assert scu.associate(VERIFICATION).kind == ACCEPT
        scu.release()

    assert time.monotonic() - start < 41 * 0.5


def _cpu_share(pid: int, seconds: float = 3.0) -> float:
    """Measure the share of a core that a process uses."""
    before, start = _cpu_seconds(pid), time.monotonic()
    threading.Event().wait(seconds)
    return (_cpu_seconds(pid) - before) / (time.monotonic() - start)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
