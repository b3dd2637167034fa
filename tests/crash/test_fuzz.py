"""Hostile input: thousands of bent conversations against one listener, beside an association that must not notice."""

import errno
import secrets
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from dicom_listener.standard.part10 import preamble_and_meta
from dicom_listener.standard.statuses import StoreStatus
from radstream.settings import process_environment
from tests.crash.audit import unfinished
from tests.crash.inputs import CONTEXTS, FILM, Conversation, End, conversations
from tests.integration.listener.films import film
from tests.integration.listener.raw_scu import ACCEPT, CHEST, EXPLICIT, RawScu, associate_rq
from tests.processes import Holdings, family, holdings, peak_mib
from tests.proxy import wire_to
from tests.running import Service, until, unused_port

pytestmark = pytest.mark.stack

ANSWER_SECONDS = 0.5
#: The listener ends a conversation that its peer has ended within this; generous, for a busy machine.
END_SECONDS = 20.0
#: More resident memory at the end, or at the worst moment, than after the first inputs (MiB).
GROWTH_MIB, PEAK_MIB = 48, 96
WARM_UP = 64
#: Threads and descriptors that come and go with the servers' connections (count).
SLACK = 4
STILL_SECONDS = 1.5
#: The listener may end a conversation first.
ENDED_FIRST = {errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN}
RESET = struct.pack("ii", 1, 0)  # SO_LINGER

#: Inputs that failed once. A new one is printed as such a line.
FOUND: tuple[Conversation, ...] = ()


class Good:
    """A modality that stores on one association all along; any trouble ends it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.stored = 0
        self.released = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(60)

    def _run(self) -> None:
        with RawScu(self._port, calling_ae="GOOD") as scu:
            assert scu.associate().kind == ACCEPT
            while not self._ending.wait(0.02):
                one = film()
                assert scu.store(one.data(), one.uid) == StoreStatus.SUCCESS
                self.stored += 1
            scu.release()
            self.released = True


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(200, id="short"),
        pytest.param(10_000, marks=[pytest.mark.crash, pytest.mark.timeout(1500)], id="long"),
    ],
)
@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_hostile_peers_harm_nobody(count: int, service: Callable[..., Service], tmp_path: Path) -> None:
    """No crash, no leak of threads, sockets or memory, nothing left in the spool; a good association goes on.

    RADSTREAM_TEST_SEED repeats a run.
    """
    port, spool = unused_port(), tmp_path / "spool"
    listener = service(
        "dicom_listener",
        RADSTREAM_DICOM_PORT=str(port),
        RADSTREAM_SPOOL_DIR=str(spool),
        RADSTREAM_LISTENER_SLOT=f"fuzz-{port}",
        RADSTREAM_ACK_POLICY="spool",
        RADSTREAM_SPOOL_CHECKPOINT_SECONDS="5",
    )
    recordings = recorded(port, tmp_path)
    number = int(process_environment().get("RADSTREAM_TEST_SEED", secrets.randbelow(10**9)))
    print(f"RADSTREAM_TEST_SEED={number}")  # noqa: T201 - pytest shows it with a failure, `make crash` always
    pid, processes = listener.pid, family(listener.pid)
    with Good(port):
        hostile_peers(WARM_UP, number, listener, port, recordings)
    before = settled(pid)

    with Good(port) as good:
        hostile_peers(count, number + 1, listener, port, recordings)
    for one in FOUND:
        converse(port, one)

    assert good.released
    assert good.stored >= count / 20
    assert listener.running
    assert family(pid) == processes
    until(lambda: not unfinished(spool), 60, "something is left in the spool")
    until(lambda: holdings(pid).threads <= before.threads + SLACK, 60, f"threads leak: {before}, {holdings(pid)}")
    until(lambda: holdings(pid).descriptors <= before.descriptors + SLACK, 60, f"sockets leak: {holdings(pid)}")
    after = settled(pid)
    peak = peak_mib(pid)
    print(f"{count} inputs beside {good.stored} good images; {before} before, {after} after, peak {peak:.0f} MiB")  # noqa: T201
    assert after.rss_mib - before.rss_mib < GROWTH_MIB
    assert peak - before.rss_mib < PEAK_MIB, "a length was believed"


def hostile_peers(count: int, number: int, listener: Service, port: int, recordings: Sequence[bytes]) -> None:
    """Hold so many hostile conversations, of a seed."""
    processes = family(listener.pid)

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # a listener that died would be blamed on what shrinking tries next
        suppress_health_check=list(HealthCheck),
    )
    @given(conversations(recordings))
    def hostile(one: Conversation) -> None:
        converse(port, one)
        assert family(listener.pid) == processes, f"a process died; FOUND = {one!r}"

    hostile()


def settled(pid: int) -> Holdings:
    """Wait until threads and descriptors stand still; give what the process holds."""
    last, since = holdings(pid), time.monotonic()

    def still() -> bool:
        nonlocal last, since
        now = holdings(pid)
        if (now.threads, now.descriptors) != (last.threads, last.descriptors):
            last, since = now, time.monotonic()
        return time.monotonic() - since > STILL_SECONDS

    until(still, 60, "threads and descriptors don't come to rest")
    return holdings(pid)


def recorded(port: int, folder: Path) -> list[bytes]:
    """Record what DCMTK sends in real sessions."""
    file = folder / "film.dcm"
    file.write_bytes(preamble_and_meta(CHEST, FILM.uid, EXPLICIT) + FILM.data(Rows=2, Columns=2, PixelData=bytes(8)))
    with wire_to(port, record=True) as wire:
        here = ("127.0.0.1", str(wire.port))
        for command in (
            ("echoscu", *here),
            ("storescu", *here, str(file)),
            ("storescu", "-R", *here, str(file), str(file)),
            ("dcmsend", *here, str(file)),
        ):
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        recordings = [bytes(one) for one in wire.recordings]
    assert len(recordings) == 4
    assert all(one[0] == 1 for one in recordings)
    return recordings


def converse(port: int, one: Conversation) -> None:
    """Hold a conversation, and see that the listener ends it once the peer has said everything."""
    with socket.create_connection(("127.0.0.1", port), END_SECONDS) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            peer.sendall(one.opening)
            if one.waits and 6 + int.from_bytes(one.opening[2:6], "big") <= len(one.opening):  # else no answer comes
                peer.settimeout(ANSWER_SECONDS)
                with suppress(TimeoutError):
                    peer.recv(65536)
                peer.settimeout(END_SECONDS)
            for piece in one.pieces:
                peer.sendall(piece)
            if one.end is End.RESET:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            elif one.end is End.HALF_CLOSE:
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(65536):
                    pass
        except OSError as error:
            if error.errno not in ENDED_FIRST:
                raise


def test_a_good_conversation_is_answered(service: Callable[..., Service], tmp_path: Path) -> None:
    """What the fuzzer bends is good before: an image in any number of PDVs is stored."""
    port = unused_port()
    service(
        "dicom_listener",
        RADSTREAM_DICOM_PORT=str(port),
        RADSTREAM_SPOOL_DIR=str(tmp_path / "spool"),
        RADSTREAM_LISTENER_SLOT=f"fuzz-{port}",
    )

    with RawScu(port) as scu:
        scu.send(associate_rq(CONTEXTS))
        assert scu.receive().kind == ACCEPT
        data = FILM.data(Rows=2, Columns=2, PixelData=bytes(8))
        scu.command(FILM.uid)
        scu.data(data, fragment=7)

        assert scu.status() == StoreStatus.SUCCESS
