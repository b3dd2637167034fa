"""What a group brings to the loop."""

from collections.abc import Sequence
from concurrent.futures import Future  # noqa: TC003 - beside its protocol, where readers look
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from consumers.lanes.right_of_way import FreeWay, Way
from consumers.loop.breaker import BreakerStore
from consumers.loop.clock import Clock
from consumers.loop.starting import Pulse
from consumers.loop.verdicts import RetryLimit
from consumers.loop.window import InHand
from consumers.meters.instruments import Instruments
from radstream.broker.contract import Broker, Message, Outgoing
from radstream.service import Health
from radstream.traces import NO_TRACES, Traces

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """Every limit of the loop."""

    window: int = 16  # messages in hand (count)
    batch: int = 8  # messages of one hand-over (count)
    age_s: float = 0.0  # longest wait of finished work for more, while more is under way (seconds)
    backlog_age_s: float = 0.0  # the same while the window is full: the log holds more than is in hand (seconds)
    dead_letters: int = 50  # dead in a row that open the breaker (count)
    retry: RetryLimit = field(default_factory=RetryLimit)
    idle_poll_s: float = 0.1  # wait for a message when nothing is in hand (seconds)
    busy_wait_s: float = 0.005  # wait for work in hand before looking for messages again (seconds)
    backlog_wait_s: float = 0.02  # the same while the window is full (seconds)
    news_s: float = 0.5  # time between two looks at lag and readiness, while messages flow (seconds)
    keep_alive_s: float = 10.0  # longest time between two polls, which keep the membership (seconds)
    breaker_poll_s: float = 1.0  # time between two looks at an open breaker (seconds)
    abort_pause_s: float = 0.2  # wait after a transaction that was taken back (seconds)


class Handler(Protocol[T]):
    """What a group does with its messages. It commits nothing."""

    def begin(self, message: Message) -> "Future[T | None]":
        """Start the work on a message, quickly; the future gives None when there is nothing to do but go on."""

    def finish(self, done: Sequence[T]) -> Sequence[Sequence[Outgoing]]:
        """Turn finished work into each message's records, in the same order."""

    def give_up(self, item: InHand[T], error: Exception) -> Sequence[Outgoing]:
        """Say what is written for a message that can't be handled: its dead letter, and what else is promised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a loop stands in, whatever its group does."""

    broker: Broker
    breakers: BreakerStore
    instruments: Instruments
    health: Health
    clock: Clock = field(default_factory=Clock)
    limits: LoopLimits = field(default_factory=LoopLimits)
    pulse: Pulse = field(default_factory=Pulse)
    traces: Traces = NO_TRACES
    way: Way = field(default_factory=FreeWay)
