"""Objects of any size in bounded memory."""

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from dicom_listener.standard.statuses import StoreStatus
from schemas.identity import data_set_hasher
from tests.integration.listener.conftest import Listening
from tests.integration.listener.films import film
from tests.integration.listener.raw_scu import ACCEPT, EXPLICIT, LAST_DATA, MORE_DATA, RawScu, pdv
from tests.running import until

pytestmark = pytest.mark.stack

MIB = 1024 * 1024
GROWTH_LIMIT_MIB = 64
OBJECT_MIB = 1024


def _peak_mib(pid: int) -> float:
    """Give the most memory that a process ever held."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def test_memory_does_not_grow_with_the_object(listen: Callable[..., Listening], tmp_path: Path) -> None:
    """1 GiB in one object: Success, the whole of it in the store, under 64 MiB of growth."""
    if shutil.disk_usage(tmp_path).free < 8 * OBJECT_MIB * MIB:
        pytest.fail(f"needs {8 * OBJECT_MIB} MiB of disk")
    listening = listen(
        RADSTREAM_ACK_DEADLINE_SECONDS="120",
        RADSTREAM_SPOOL_CHECKPOINT_SECONDS="1",
        RADSTREAM_LISTENER_PROCESSES="1",
    )
    listening.send(film())
    (worker,) = listening.service.workers()
    before = _peak_mib(worker)
    one = film()
    head = one.data(PixelData=b"")[:-12] + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, OBJECT_MIB * MIB)
    hasher = data_set_hasher(EXPLICIT)
    hasher.update(head)
    chunk = bytes(range(256)) * 400  # 102,400 bytes

    with RawScu(listening.port) as scu:
        assert scu.associate().kind == ACCEPT
        scu.command(one.uid)
        scu.send(pdv(MORE_DATA, head))
        left = OBJECT_MIB * MIB
        while left:
            part = chunk[: min(left, len(chunk))]
            left -= len(part)
            hasher.update(part)
            scu.send(pdv(MORE_DATA if left else LAST_DATA, part))
        assert scu.status() == StoreStatus.SUCCESS

    grown = _peak_mib(worker) - before
    listening.wait_empty(120)
    (event,) = listening.events(one)
    assert grown < GROWTH_LIMIT_MIB, f"{grown:.0f} MiB"
    assert event.sha256 == hasher.hexdigest()
    assert event.size_bytes > OBJECT_MIB * MIB
    until(lambda: not list(listening.spool.glob("*/*.done")), 60, "the spool keeps the object")
    listening.lose_object(event)
