"""What a worker tells the parent of its health, whichever thread says it."""

import threading

from dicom_listener.processes.link import ToldHealth


class SlowLink:
    """The first message takes until another thread may have sent its own."""

    def __init__(self) -> None:
        self.told: list[dict[str, str]] = []
        self.sending = threading.Event()
        self._first = True

    def waiting(self, parts: dict[str, str]) -> None:
        """Send, slowly at first."""
        if self._first:
            self._first = False
            self.sending.set()
            threading.Event().wait(0.2)
        self.told.append(parts)


def test_what_was_told_last_is_how_it_is() -> None:
    """Told late, an older state would have the parent wait for ever for a worker that takes connections."""
    link = SlowLink()
    health = ToldHealth(link)
    schemas = threading.Thread(target=health.not_ready, args=("not seen yet", "schemas"))

    schemas.start()
    assert link.sending.wait(5)
    health.ready()
    health.ready("schemas")
    schemas.join(5)

    assert link.told[-1] == {}
