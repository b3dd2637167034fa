"""A loop over the broker in memory, with a handler that does as it is told and a clock that tests turn."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from consumers.lanes.right_of_way import FreeWay, Way
from consumers.loop.breaker import MemoryBreakers
from consumers.loop.clock import Clock
from consumers.loop.handler import LoopLimits, Surroundings
from consumers.loop.loop import Loop
from consumers.loop.publish import InTransaction
from consumers.loop.window import InHand
from consumers.meters.instruments import Instruments
from radstream.broker.contract import GroupReader, Message, Offsets, Outgoing, Partition
from radstream.broker.memory import MemoryBroker
from radstream.service import Health
from schemas.errors import TransactionAborted

GROUP = "group"
SOURCE, OUTPUT, DEAD = "in", "out", "dead"


@dataclass(slots=True)
class Script:
    """A handler: it upper-cases values, unless a value is to fail, to wait, or to be refused later."""

    begin_errors: dict[str, list[Exception]] = field(default_factory=dict)
    finish_errors: list[Exception] = field(default_factory=list)
    poison: set[str] = field(default_factory=set)
    waiting: dict[str, "Future[str | None]"] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    batches: list[list[str]] = field(default_factory=list)

    def begin(self, message: Message) -> "Future[str | None]":
        """Start, fail or wait."""
        value = (message.value or b"").decode()
        self.begun.append(value)
        if errors := self.begin_errors.get(value):
            raise errors.pop(0)
        made: Future[str | None] = self.waiting.get(value, Future())
        if value not in self.waiting:
            made.set_result(None if value == "skip" else value)
        return made

    def finish(self, done: Sequence[str]) -> list[list[Outgoing]]:
        """Upper-case, or fail as a whole."""
        if self.finish_errors:
            raise self.finish_errors.pop(0)
        if self.poison & set(done):
            raise ZeroDivisionError
        self.batches.append(list(done))
        return [[Outgoing(topic=OUTPUT, key=None, value=value.upper().encode())] for value in done]

    def give_up(self, item: InHand[str], error: Exception) -> list[Outgoing]:
        """Write what was given up."""
        cause = getattr(error, "cause", "internal").encode()
        return [Outgoing(topic=DEAD, key=None, value=(item.message.value or b"") + b":" + cause)]


class Refusing:
    """A publisher whose first batches are taken back."""

    def __init__(self, inner: InTransaction, aborts: int) -> None:
        self._inner = inner
        self._left = aborts

    def publish(self, records: Sequence[Outgoing], offsets: Offsets, reader: GroupReader) -> None:
        """Raise, then pass on."""
        if self._left:
            self._left -= 1
            raise TransactionAborted("stale generation")
        self._inner.publish(records, offsets, reader)

    def close(self) -> None:
        """Pass on."""
        self._inner.close()


@dataclass(slots=True)
class Desk:
    """One loop and what surrounds it."""

    limits: LoopLimits = field(default_factory=lambda: LoopLimits(idle_poll_s=0, busy_wait_s=0, dead_letters=3))
    now: float = 0.0
    broker: MemoryBroker = field(default_factory=lambda: MemoryBroker({SOURCE: 2, OUTPUT: 1, DEAD: 1}))
    script: Script = field(default_factory=Script)
    breakers: MemoryBreakers = field(default_factory=MemoryBreakers)
    health: Health = field(default_factory=Health)
    way: Way = field(default_factory=FreeWay)
    publisher: Refusing = field(init=False)

    def loop(self, slot: str = "group.0", aborts: int = 0) -> Loop[str]:
        """Start a process's loop: the same slot fences the one before; its first `aborts` batches are taken back."""
        self.broker.begin_group(GROUP, [SOURCE])
        self.health.ready()
        began = datetime(2026, 1, 1, tzinfo=UTC)
        around = Surroundings(
            broker=self.broker,
            breakers=self.breakers,
            instruments=Instruments(CollectorRegistry()),
            health=self.health,
            clock=Clock(lambda: began + timedelta(seconds=self.now), lambda: self.now),
            limits=self.limits,
            way=self.way,
        )
        self.publisher = Refusing(InTransaction(self.broker.transactional_writer(slot)), aborts)
        return Loop(GROUP, [SOURCE], self.script, self.publisher, around)

    def send(self, *values: str, partition: int = 0) -> None:
        """Write input."""
        records = [Outgoing(topic=SOURCE, key=None, value=value.encode(), partition=partition) for value in values]
        self.broker.writer().write(records)

    def turn(self, loop: Loop[str], times: int = 1, seconds: float = 0.0) -> None:
        """Go round, the clock advancing before each."""
        for _ in range(times):
            self.now += seconds
            loop.turn()

    def read(self, topic: str) -> list[str]:
        """Read what a read_committed reader sees."""
        messages, _ = self.broker.read(Partition(topic, 0), 0, 1_000)
        return [(message.value or b"").decode() for message in messages]

    @property
    def committed(self) -> int:
        """The group's next offset on the first partition."""
        return self.broker.groups[GROUP].committed[Partition(SOURCE, 0)]


@pytest.fixture
def desk() -> Desk:
    """Give a fresh one."""
    return Desk()


@pytest.fixture
def desk_of() -> Callable[[LoopLimits], Desk]:
    """Give one with other limits."""
    return lambda limits: Desk(limits=limits)
