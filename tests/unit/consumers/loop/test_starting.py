"""How the services start, end and notice that they are stuck."""

import subprocess
import sys
import threading
import time

import pytest

from consumers.loop import starting
from consumers.loop.starting import STUCK_SECONDS, Pulse, patiently, together
from radstream.service import Health, Stop
from schemas.errors import Fenced, KafkaDown, SchemaMissing


def test_a_server_that_comes_up_late_is_waited_for() -> None:
    """Not ready meanwhile, then ready."""
    health, errors = Health(), [KafkaDown("away"), SchemaMissing("not yet")]
    health.ready()

    def call() -> str:
        if errors:
            raise errors.pop()
        return "there"

    assert patiently(call, "kafka", health, Stop()) == "there"
    assert health.waiting == {}


def test_who_is_asked_to_stop_waits_no_longer() -> None:
    """SIGTERM while a server is away ends the service at once."""
    stop = Stop()
    stop.request()

    assert patiently(lambda: "never asked", "kafka", Health(), stop) is None


def test_the_first_that_fails_ends_all_with_its_error() -> None:
    """A fenced lane takes the process with it: its slot belongs to another."""
    stop = Stop()
    ended = threading.Event()

    def fenced() -> None:
        raise Fenced("another")

    def other() -> None:
        stop.wait(10)
        ended.set()

    with pytest.raises(Fenced):
        together([fenced, other], stop, Pulse())
    assert ended.is_set()


def test_a_thread_that_does_not_end_is_left_behind() -> None:
    """SIGTERM ends the service in under ten seconds, whatever a library does."""
    stop, never = Stop(), threading.Event()
    stop.request()
    begun = time.monotonic()

    together([lambda: never.wait(60) and None, lambda: None], stop, Pulse())

    never.set()
    assert time.monotonic() - begun < 10


def test_a_loop_that_stands_still_is_noticed() -> None:
    """After longer than any turn may take, and only that one."""
    now = [0.0]
    pulse = Pulse(lambda: now[0])
    pulse.beat("stuck")
    pulse.beat("alive")

    now[0] = STUCK_SECONDS
    assert pulse.stopped() == []
    pulse.beat("alive")
    now[0] += 1

    assert pulse.stopped() == ["stuck"]
    assert starting.START_SECONDS < STUCK_SECONDS


STUCK = """
import subprocess
import sys
import threading
from consumers.loop.starting import Pulse, together
from radstream.service import Stop
hours = iter(range(0, 10_000_000, 3600))
pulse = Pulse(lambda: float(next(hours)))
pulse.beat("group")
together([lambda: threading.Event().wait()], Stop(), pulse)
"""


def test_a_stuck_loop_ends_the_process() -> None:
    """With status 1, though the call that hangs never returns."""
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 1
    assert "loop stuck" in done.stdout + done.stderr


def test_the_serving_process_carries_no_library_of_its_decoders() -> None:
    """Pixels are read in processes of their own: OpenCV alone would cost this one 18 MB."""
    code = (
        "import sys, consumers.serve_inference\n"
        "heavy = {'cv2', 'imagecodecs', 'pydicom', 'PIL', 'torch', 'onnxruntime', 'fastapi'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
