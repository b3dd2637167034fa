"""The whole supervised system, as tests see it from outside: its processes, its log, its database, its command."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from radstream import results as reading
from radstream.broker.contract import Message
from radstream.broker.topic_reader import read_to_end
from radstream.commands.demo_fates import event_of
from radstream.commands.send_files import Film, film_of
from radstream.commands.send_scu import Peer
from radstream.journal.journal import pseudonyms_of
from radstream.registry import RegistryIds
from radstream.settings import Settings
from radstream.stack.components import BY_NAME
from radstream.stack.site import Site
from radstream.stack.supervision import Supervisor, alive
from radstream.windows import all_windows
from schemas.codec import Codec
from schemas.inference_completed import InferenceCompleted
from schemas.instance_received import InstanceReceived
from schemas.topics import COMPLETED, RECEIVED_ROUTINE, RECEIVED_STAT
from tests.processes import frozen
from tests.running import plain_environment, until

DAY_SECONDS = 86_400
RESTART_SECONDS = 60.0
CALLING_AE = "PACS"


@dataclass(frozen=True, slots=True)
class System:
    """A running site."""

    site: Site
    settings: Settings

    @property
    def peer(self) -> Peer:
        """How to call the listener."""
        port = self.settings.dicom_port
        return Peer(host="127.0.0.1", port=port, called_ae=self.settings.ae_title, calling_ae=CALLING_AE)

    def pid(self, component: str) -> int:
        """Give the process id that the supervisor knows, 0 while there is none."""
        return Supervisor(self.site).states()[component][1]

    def kill9(self, component: str, when: Callable[[], bool]) -> int:
        """Kill a process as a crash would, at a moment that the test wants; give the id that it had.

        It is frozen to be looked at, its workers too: between looking and killing they can finish nothing.
        """
        pid = self.pid(component)

        def caught() -> bool:
            with frozen(pid) as members:
                if not when():
                    return False
                for member in members:
                    os.kill(member, signal.SIGKILL)
                return True

        until(caught, 30, f"{component} was never in the middle of anything")
        until(lambda: not alive(pid), 10, f"{component} survived SIGKILL")
        return pid

    def wait_restarted(self, component: str, killed: int) -> None:
        """Wait until the supervisor has started it again and it is ready."""

        def again() -> bool:
            return self.pid(component) not in {0, killed} and not BY_NAME[component].ready(self.site)

        until(again, RESTART_SECONDS, f"{component} did not come back; see {self.site.log_file(component)}")

    def events(self, films: Iterable[Film]) -> dict[UUID, Film]:
        """Name the event that each film becomes."""
        (pseudonyms, *_) = pseudonyms_of(self.settings)
        return {event_of(film, pseudonyms): film for film in films}

    def completed(self) -> list[InferenceCompleted]:
        """Read every committed result of the log."""
        return [self._record(message) for message in read_to_end(self.settings, COMPLETED)]

    def received(self) -> list[InstanceReceived]:
        """Read every committed event of the log."""
        topics = (RECEIVED_STAT, RECEIVED_ROUTINE)
        return [self._record(message) for topic in topics for message in read_to_end(self.settings, topic)]

    def results_of(self, events: Iterable[UUID]) -> dict[UUID, InferenceCompleted]:
        """Wait until each event has a result in the log, and give them."""
        wanted = set(events)
        found: dict[UUID, InferenceCompleted] = {}

        def all_there() -> bool:
            found.update({one.event_id: one for one in self.completed() if one.event_id in wanted})
            return wanted == set(found)

        until(all_there, 90, "results are missing in the log")
        return found

    def stored(self, events: Iterable[UUID]) -> dict[UUID, str]:
        """Wait until each event has a row in PostgreSQL; give the outcomes."""
        wanted = list(events)
        until(lambda: len(reading.outcomes_of(self.settings, wanted)) == len(wanted), 60, "rows are missing")
        return reading.outcomes_of(self.settings, wanted)

    def counted(self) -> int:
        """Count what the streams' windows of a day hold."""
        windows = all_windows(self.settings)
        return sum(one.n for one in windows if one.slice == "all" and one.window_seconds == DAY_SECONDS)

    def command(self, *words: str) -> tuple[int, list[dict[str, Any]]]:
        """Run `radstream` with `--json`; give its exit status and its rows."""
        run = subprocess.run(
            [sys.executable, "-m", "radstream.commands", *words, "--json"],
            env=plain_environment() | {"RADSTREAM_STATE_DIR": str(self.site.state_dir)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return run.returncode, [json.loads(line) for line in run.stdout.splitlines()]

    def _record(self, message: Message) -> Any:
        return Codec(RegistryIds(self.settings.schema_registry_url)).decode(message.value)


def films_of(paths: Sequence[Path]) -> list[Film]:
    """Read files that must be films."""
    films = [film_of(path, path.parent) for path in paths]
    assert None not in films
    return [film for film in films if film]
