"""Members of an inference group that are killed, frozen, added and taken away while images stream in."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import UUID

from pydicom import Dataset

from consumers.inference.crash_points import Step
from consumers.loop.starting import STUCK_SECONDS
from radstream.stack.components import BY_NAME
from radstream.stack.probes import health
from radstream.stack.site import Site
from radstream.stack.supervision import Supervisor
from schemas.errors import KafkaDown
from tests.integration.consumers.conftest import Made
from tests.integration.consumers.films import again
from tests.publishing import Sender
from tests.running import Service, until

AT_RANDOM, FROZEN, BROKER, SCALED = "killed at random", "frozen", "broker killed", "scaled 1-3-2"
#: A kill falls within this time after the group was seen at work (seconds).
WITHIN_SECONDS = 1.0
#: Where a member is frozen: with answers in hand, without and with an open transaction.
FREEZING = (Step.BEFORE_BEGIN, Step.BEFORE_COMMIT)
#: A frozen member's session is over (the broker's group.consumer.session.timeout.ms, and room).
ZOMBIE_SECONDS = 8.0
PATIENCE_SECONDS = 90.0
#: What a zombie logs when its batch is refused, or when it answers again; one whose transaction was ended, ends.
GOING_ON = (b'"cause": "transaction_aborted"', b'"event": "image answered"')
#: Images wait in this number while something is done to a group: each member has some in hand.
AHEAD = 32
_PIECE = 8


@dataclass
class Stream:
    """Images that arrive for as long as the test wants, and what became of them."""

    sender: Sender
    made: Made
    film: Dataset
    sent: set[UUID] = field(default_factory=set)
    _answered: int = 0

    def send(self, count: int) -> None:
        """Publish images, each of a study of its own: they spread over the partitions."""
        self.sent |= {self.sender.send(again(self.film)).event_id for _ in range(count)}

    def flow(self) -> None:
        """Publish more when little waits."""
        if self.waiting() < AHEAD:
            self.send(_PIECE)

    def answered(self) -> int:
        """Count the images that have a result, as far as the broker tells."""
        with suppress(KafkaDown):  # it comes back, and has elected no leaders yet
            self._answered = len({one.event_id for one in self.made.results(self.sent)})
        return self._answered

    def waiting(self) -> int:
        """Count the images without a result."""
        return len(self.sent) - self.answered()

    def wait_empty(self, why: str) -> None:
        """Wait until each image has a result."""
        until(lambda: not self.waiting(), PATIENCE_SECONDS, why)

    def breaches(self) -> list[str]:
        """Say where what readers of committed records see is not exactly one result for each image."""
        results = self.made.results(self.sent)
        answered = Counter(one.event_id for one in results)
        revisions = Counter((one.result_id, one.result_revision) for one in results)
        return [
            *(f"{event} has no result" for event in self.sent - answered.keys()),
            *(f"{event} has {count} results" for event, count in answered.items() if count > 1),
            *(f"{name} stands {count} times" for name, count in revisions.items() if count > 1),
            *(f"{one.event_id} was given up: {one.cause}" for one in self.made.letters(self.sent)),
        ]


@dataclass
class Crowd:
    """The members of one group, and what was done to them."""

    begin: Callable[[int], Service]  # starts the member of a slot
    stream: Stream
    site: Site
    rng: random.Random
    members: list[Service] = field(default_factory=list)
    hits: Counter[str] = field(default_factory=Counter)
    caught: int = 0  # images without a result at the strikes, altogether
    ended: int = 0  # members that ended by themselves: fenced, or the broker was away
    moved: list[float] = field(default_factory=list)  # seconds from a kill until nothing waited

    def run(self, plan: Sequence[Sequence[str]], count: int) -> None:
        """Go through a plan with so many members; leave all of them running and nothing waiting.

        What is named together happens at once, to a member each: steps only.
        """
        strikes: Mapping[str, Callable[[], None]] = {
            AT_RANDOM: self._kill,
            FROZEN: self._freeze,
            BROKER: self._kill_broker,
            SCALED: self._scale,
        }
        self._grow(count)
        for names in plan:
            self._settle()
            strikes.get(names[0], partial(self._die_at, names))()
            self.hits.update(names)
        self._settle()
        self.stream.wait_empty("images have no result in the end")

    def _grow(self, count: int) -> None:
        while len(self.members) < count:
            self.members.append(self.begin(len(self.members)))

    def _settle(self) -> None:
        """Start again who has ended, and wait until all are ready, images flowing."""
        for one in self.members:
            until(partial(self._is_ready, one), PATIENCE_SECONDS, f"a member is not ready\n{one.tail()}")

    def _is_ready(self, one: Service) -> bool:
        self.stream.flow()
        if not one.running:
            assert one.exit_status in {-signal.SIGKILL, 1}, one.tail()
            self.ended += one.exit_status == 1
            one.start(wait=False)
        return not health(one.metrics_port)

    def _die_at(self, steps: Sequence[str]) -> None:
        """Have members kill themselves, each at its step."""
        victims = self.rng.sample(self.members, len(steps))
        for one in victims:
            one.kill9()
        for one, step in zip(victims, steps, strict=True):
            one.start(wait=False, RADSTREAM_DIE_AT=step)
        for one, step in zip(victims, steps, strict=True):
            until(partial(self._is_dead, one), PATIENCE_SECONDS, f"nobody reached {step}\n{one.tail()}")
            assert one.exit_status == -signal.SIGKILL, one.tail()
            self.caught += 1

    def _is_dead(self, one: Service) -> bool:
        self.stream.flow()
        return not one.running

    def _kill(self) -> None:
        """Kill a member at a random instant; the others answer what it had in hand."""
        one = self.rng.choice(self.members)
        self._work()
        one.kill9()
        begun = time.monotonic()
        self.caught += self.stream.waiting()
        self.stream.wait_empty("a killed member's images have no result")
        self.moved.append(time.monotonic() - begun)

    def _freeze(self) -> None:
        """Stop a member with answers in hand until the others have done its work and more: it goes on as a zombie."""
        one, step = self.rng.choice(self.members), self.rng.choice(FREEZING)
        one.kill9()
        one.start(wait=False, RADSTREAM_FREEZE_AT=step)
        until(partial(self._stands_still, one), PATIENCE_SECONDS, f"nobody reached {step}\n{one.tail()}")
        over = time.monotonic() + ZOMBIE_SECONDS
        self.caught += self.stream.waiting()
        until(
            lambda: time.monotonic() > over and not self.stream.waiting(),
            PATIENCE_SECONDS,
            "a frozen member's images have no result",
        )
        heard = len(one.log.read_bytes())
        os.kill(one.pid, signal.SIGCONT)
        try:
            until(partial(self._goes_on, one, heard), STUCK_SECONDS + PATIENCE_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"a zombie neither goes on nor ends: {one.why_not()}") from error

    def _goes_on(self, one: Service, heard: int) -> bool:
        """Say whether a zombie has ended, was told that its batch is void, or answers what is its own again."""
        self.stream.flow()
        said = one.log.read_bytes()[heard:]
        return not one.running or any(word in said for word in GOING_ON)

    def _stands_still(self, one: Service) -> bool:
        self.stream.flow()
        return "State:\tT" in Path(f"/proc/{one.pid}/status").read_text("ascii")

    def _kill_broker(self) -> None:
        """Kill Kafka in mid-stream, and wait until its supervisor has brought it back."""
        killed = Supervisor(self.site).states()["kafka"][1]
        self._work()
        self.caught += self.stream.waiting()
        os.kill(killed, signal.SIGKILL)

        def back() -> bool:
            pid = Supervisor(self.site).states()["kafka"][1]
            return pid not in {0, killed} and not BY_NAME["kafka"].ready(self.site)

        until(back, PATIENCE_SECONDS, "Kafka did not come back")

    def _scale(self) -> None:
        """Go to one member, to three, to two and back, images flowing."""
        count = len(self.members)
        for size in (1, 3, 2, count):
            while len(self.members) > size:
                self._work()
                assert self.members.pop().stop() == 0
            self._grow(size)
            self._settle()

    def _work(self) -> None:
        """Have the group at work, for a random while, with images just arrived at the end of it."""
        before = self.stream.answered()
        self.stream.send(AHEAD)
        until(lambda: self.stream.answered() > before, PATIENCE_SECONDS, "nobody works")
        over = time.monotonic() + self.rng.uniform(0, WITHIN_SECONDS)
        while time.monotonic() < over:
            self.stream.flow()
        self.stream.send(AHEAD)
