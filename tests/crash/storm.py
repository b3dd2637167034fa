"""Kills: of the listener at named steps and at random instants, and of the servers behind it, all under load."""

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dicom_listener.crash_points import Step
from radstream.stack.components import BY_NAME
from radstream.stack.site import Site
from radstream.stack.supervision import Supervisor, alive
from tests.crash.audit import unfinished
from tests.processes import family, frozen
from tests.running import Service, until

SERVERS = ("kafka", "object_store", "postgres")
AT_RANDOM = "at random"
POLICIES = ("published", "spool")
#: A kill falls within this time after the listener was started, or is ready (seconds).
WITHIN_SECONDS = 1.5
#: Of a hundred random kills, those that fall while the listener starts and adopts what the last one left.
WHILE_STARTING = 25
STEP_SECONDS = 60.0
BACK_SECONDS = 90.0
_TRIES = 40


def plan_of(rng: random.Random, *, steps: int, at_random: int, servers: int) -> list[str]:
    """Mix each named step so often, random kills and kills of each server."""
    plan = [*list(Step) * steps, *[AT_RANDOM] * at_random, *SERVERS * servers]
    rng.shuffle(plan)
    return plan


@dataclass
class Storm:
    """Kills one listener again and again, and says what it hit."""

    listener: Service
    spool: Path
    site: Site
    rng: random.Random
    hits: Counter[str] = field(default_factory=Counter)  # kills that hit images in flight, by what was killed
    missed: int = 0  # kills that hit nothing
    caught: int = 0  # images that were in flight at the kills, altogether
    ended: int = 0  # listeners that were killed

    def run(self, plan: Sequence[str]) -> None:
        """Go through a plan; a kill that hits nothing is repeated until it does. Leaves the listener running."""
        for what in plan:
            strike = self._strike_of(what)
            for _ in range(_TRIES):
                if hit := strike():
                    break
                self.missed += 1
            assert hit, f"no kill of {what} hit anything in {_TRIES} tries\n{self.listener.tail()}"
            self.caught += hit
            self.hits[what] += 1
        self._start()

    def _strike_of(self, what: str) -> Callable[[], int]:
        if what in SERVERS:
            return lambda: self._kill_server(what)
        return self._kill if what == AT_RANDOM else lambda: self._die_at(what)

    def _start(self, *, wait: bool = True, die_at: str = "") -> None:
        """Start the listener under either policy, unless it runs."""
        if not self.listener.running:
            policy = self.rng.choice(POLICIES)
            self.listener.start(wait=wait, RADSTREAM_ACK_POLICY=policy, RADSTREAM_DIE_AT=die_at)

    def _die_at(self, step: str) -> int:
        """Start a listener that kills itself at a step, with an image in hand; the group dies with it."""
        if self.listener.running:
            self._end()
        marker = self.spool / f"died-at-{step}"
        marker.unlink(missing_ok=True)
        self._start(wait=False, die_at=step)
        until(marker.exists, STEP_SECONDS, f"nothing reached the step {step}")
        self._end()
        return 1

    def _kill(self) -> int:
        """Kill the listener at a random instant: all of it, its parent alone or one of its workers."""
        self._start(wait=self.rng.randrange(100) >= WHILE_STARTING)
        self._pause()
        assert self.listener.running, f"ended by itself with {self.listener.exit_status}\n{self.listener.tail()}"
        with frozen(self.listener.pid) as members:
            in_flight = self._in_flight()
            workers = members[1:] or members
            victims = self.rng.choice([members, members[:1], [self.rng.choice(workers)]])
            for one in victims:
                os.kill(one, signal.SIGKILL)
        if members[0] in victims:
            self.ended += 1
            self.listener.wait_exit()
            until(lambda: not any(alive(one) for one in members), 20, "workers outlive their parent")
        else:
            until(lambda: set(family(self.listener.pid)).isdisjoint(victims), 20, "a worker survived")
            self.listener.wait_ready()
        return in_flight

    def _kill_server(self, name: str) -> int:
        """Kill a server while images are in flight, and wait until its supervisor has brought it back."""
        self._start()
        self._pause()
        with frozen(self.listener.pid):
            in_flight = self._in_flight()
            killed = Supervisor(self.site).states()[name][1]
            if not in_flight or not killed:
                return 0
            os.kill(killed, signal.SIGKILL)

        def back() -> bool:
            return Supervisor(self.site).states()[name][1] not in {0, killed} and not BY_NAME[name].ready(self.site)

        until(back, BACK_SECONDS, f"{name} did not come back; see {self.site.log_file(name)}")
        return in_flight

    def _in_flight(self) -> int:
        """Count images that are arriving or wait to be forwarded."""
        return len(unfinished(self.spool))

    def _end(self) -> None:
        self.ended += 1
        with suppress(ProcessLookupError):  # it was quicker
            os.killpg(self.listener.pid, signal.SIGKILL)
        self.listener.wait_exit()

    def _pause(self) -> None:
        threading.Event().wait(self.rng.uniform(0.0, WITHIN_SECONDS))
