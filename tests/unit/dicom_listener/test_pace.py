"""Rates of senders, and each process's part of them."""

from dicom_listener.pace import Pace
from radstream.service import Stop


class Waits(Stop):
    """Notes how long it was waited for, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, seconds: float | None = None) -> bool:
        self.seconds.append(seconds or 0.0)
        return False


def test_nothing_waits_without_a_rate() -> None:
    """No rate, no wait."""
    stop = Waits()
    pace = Pace(None, None, stop)

    pace.image("CT1")
    pace.data("CT1", 10**9)

    assert not pace.limits
    assert stop.seconds == []


def test_a_sender_waits_for_its_own_rate_only() -> None:
    """Who sent a second's worth waits; another sender does not."""
    stop = Waits()
    pace = Pace(2.0, None, stop)

    for _ in range(3):
        pace.image("CT1")
    pace.image("CT2")

    assert len(stop.seconds) == 1
    assert 0.3 < stop.seconds[0] <= 0.5


def test_half_of_the_rate_is_half_as_fast() -> None:
    """A process that has half of a sender's associations has half of its rate, known before or after."""
    stop = Waits()
    pace = Pace(None, 1000.0, stop)
    pace.data("CT1", 1)
    pace.share("CT1", 0.5)
    pace.share("CT2", 0.5)

    for calling_ae in ("CT1", "CT2"):
        pace.data(calling_ae, 1000)

    assert len(stop.seconds) == 2
    assert all(0.9 < waited <= 1.1 for waited in stop.seconds)


def test_no_wait_is_so_long_that_the_peer_gives_up() -> None:
    """However far over its rate, a sender is read again after 5 s."""
    stop = Waits()

    Pace(None, 1.0, stop).data("CT1", 10**6)

    assert stop.seconds == [5.0]
