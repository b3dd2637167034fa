"""Pieces that other threads write and hash while the next one arrives: the same bytes, hash and errors."""

import hashlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from radstream.spool.aligned import PIECE_BYTES
from radstream.spool.aside import Aside
from radstream.spool.spool import Spool
from schemas.errors import SpoolFull
from tests.notes import NOTE

HEAD = b"preamble"
#: A piece that is 4 of under way, one that arrives, and what a full one needs to be noticed (count).
MOST_AHEAD = 6


class Tardy:
    """A hasher that takes its time before it looks, so that a piece which is used again too soon is seen."""

    def __init__(self) -> None:
        self._hasher = hashlib.sha256()
        self.gate = threading.Event()
        self.gate.set()

    def update(self, data: memoryview, /) -> None:
        """Look at the bytes a moment later, or when the gate opens."""
        self.gate.wait()
        time.sleep(0.002)
        self._hasher.update(data)

    def hexdigest(self) -> str:
        """Give the hash of what was seen."""
        return self._hasher.hexdigest()


@pytest.fixture
def threads() -> Iterator[Sequence[Executor]]:
    """Give a thread for each of a piece's jobs."""
    with ThreadPoolExecutor(1) as writing, ThreadPoolExecutor(1) as hashing:
        yield writing, hashing


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """Give an open spool."""
    made = Spool(tmp_path, "0")
    made.open()
    return made


def _now_and_then(threads: Sequence[Executor]) -> Callable[[], Sequence[Executor]]:
    turns = itertools.cycle((threads, threads, (), threads, ()))
    return lambda: next(turns)


@pytest.mark.parametrize("size", [PIECE_BYTES - 8, PIECE_BYTES + 1, 7 * PIECE_BYTES - 60, 20 * PIECE_BYTES + 77])
@pytest.mark.parametrize("holds", [False, True])
@pytest.mark.parametrize("when", ["always", "now and then"])
def test_bytes_and_hash_are_those_that_came(
    spool: Spool, threads: Sequence[Executor], size: int, when: str, *, holds: bool
) -> None:
    """Also where threads come and go in the middle of an image, and where it is held in memory."""
    data, hasher = os.urandom(size), Tardy()
    aside = Aside((lambda: threads) if when == "always" else _now_and_then(threads))
    incoming = spool.begin(HEAD, hasher, holds=holds, aside=aside)
    incoming.write(data)
    incoming.hash_rest()

    entry = spool.commit(incoming, replace(NOTE, size_bytes=8 + size, data_set_offset=8))

    assert hasher.hexdigest() == hashlib.sha256(data).hexdigest()
    with entry.open() as file:
        assert file.read(8 + size) == HEAD + data
    if incoming.held is not None:
        assert b"".join(incoming.held.pieces) == HEAD + data
        incoming.held.free()


def test_memory_does_not_grow_while_the_hash_is_behind(spool: Spool, threads: Sequence[Executor]) -> None:
    """A few pieces wait for it; then what arrives waits, too."""
    hasher, came = Tardy(), itertools.count()
    incoming = spool.begin(HEAD, hasher, aside=Aside(lambda: threads))
    hasher.gate.clear()
    last = 0

    def receive() -> None:
        nonlocal last
        for last in came:
            if last == 20:  # far more than may wait
                return
            incoming.write(bytes(PIECE_BYTES))

    receiving = threading.Thread(target=receive)
    receiving.start()
    receiving.join(0.5)
    waits_at = last
    hasher.gate.set()
    receiving.join()

    assert 1 < waits_at < MOST_AHEAD
    incoming.discard()


def test_an_image_that_is_given_up_gives_its_memory_back_when_nobody_reads_it(
    spool: Spool, threads: Sequence[Executor]
) -> None:
    """The next image gets the same memory: the hash of the one before has seen its own bytes alone."""
    data, hasher = os.urandom(3 * PIECE_BYTES), Tardy()
    incoming = spool.begin(b"", hasher, aside=Aside(lambda: threads))
    incoming.write(data)

    incoming.discard()
    spool.begin(b"").write(bytes(4 * PIECE_BYTES))

    assert hasher.hexdigest() == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("pieces", [1, 3, 9])
def test_a_write_aside_that_fails_is_spool_full_and_nothing_is_kept(
    spool: Spool, threads: Sequence[Executor], pieces: int
) -> None:
    """/dev/full answers ENOSPC: told by the next pieces, or in the end; the image is never an entry."""
    incoming = spool.begin(HEAD, Tardy(), aside=Aside(lambda: threads))
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, incoming._held._fd)  # noqa: SLF001 - a full disk, without filling one
    os.close(full)

    def receive() -> None:
        incoming.write(bytes(pieces * PIECE_BYTES))
        incoming.hash_rest()

    with pytest.raises(SpoolFull, match="errno"):
        receive()

    incoming.discard()
    assert spool.entries() == []
    assert not list(spool.folder.glob("*.part"))


def test_what_is_under_way_is_written_before_it_is_made_durable(
    spool: Spool, threads: Sequence[Executor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nobody asked for the hash: at the fdatasync the file has all of the image."""
    data, synced, fdatasync = os.urandom(5 * PIECE_BYTES), [], os.fdatasync

    def look(fd: int) -> None:
        synced.append(data in Path(f"/proc/self/fd/{fd}").read_bytes())
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", look)
    incoming = spool.begin(b"", None, aside=Aside(lambda: threads))
    threads[0].submit(time.sleep, 0.1)
    incoming.write(data)

    spool.commit(incoming, replace(NOTE, size_bytes=len(data)))

    assert synced == [True]
