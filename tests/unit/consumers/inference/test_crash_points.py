"""Where a test may have an inference process killed: between the calls of a transaction, in this order."""

from concurrent.futures import Future
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

import pytest

from consumers.inference.crash_points import MortalPool, MortalWriter, Step
from consumers.loop.publish import InTransaction
from radstream.broker.contract import Outgoing, Partition
from radstream.broker.memory import MemoryBroker
from radstream.crash_points import CrashPoints
from schemas.errors import SettingInvalid

if TYPE_CHECKING:
    from consumers.decoding.decoders import Fetched

SOURCE, OUTPUT = Partition("in", 0), Partition("out", 0)


class Passed(CrashPoints):
    """Notes the steps that are passed, and what readers of committed records see at each."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(Step, "")
        self._broker = broker
        self.seen: list[tuple[StrEnum, int, int]] = []

    def reach(self, step: StrEnum) -> None:
        visible, _ = self._broker.read(OUTPUT, 0, 9)
        self.seen.append((step, len(visible), self._broker.groups["g"].committed[SOURCE]))


def test_a_result_is_visible_with_its_offset_at_the_last_step_and_not_before() -> None:
    """Before the commit a kill leaves nothing, after it everything."""
    broker = MemoryBroker({"in": 1, "out": 1})
    broker.begin_group("g", ["in"])
    reader = broker.reader("g", ["in"], lambda _lost: None)
    reader.poll(1, 0)
    points = Passed(broker)
    publisher = InTransaction(MortalWriter(broker.transactional_writer("g.0"), points))

    publisher.publish([Outgoing(topic="out", key=None, value=b"A")], {SOURCE: 1}, reader)

    assert points.seen == [
        (Step.BEFORE_BEGIN, 0, 0),
        (Step.AFTER_PRODUCE, 0, 0),
        (Step.BEFORE_COMMIT, 0, 0),
        (Step.AFTER_COMMIT, 1, 1),
    ]


def test_the_first_step_is_reached_when_an_image_is_decoded() -> None:
    """Not when it is queued."""
    decoded: Future[Fetched] = Future()

    class Pool:
        def submit(self, *_: object) -> "Future[Fetched]":
            return decoded

    broker = MemoryBroker({"in": 1, "out": 1})
    broker.begin_group("g", ["in"])
    points = Passed(broker)
    queued = MortalPool(Pool(), points).submit(cast("Any", None), ())
    before = list(points.seen)

    decoded.set_result(cast("Any", None))

    assert queued is decoded
    assert before == []
    assert [step for step, *_ in points.seen] == [Step.AFTER_FETCH]


def test_an_unknown_step_is_refused() -> None:
    """A typing error must not look like a passing test."""
    with pytest.raises(SettingInvalid, match="DIE_AT=after-offset"):
        CrashPoints(Step, "after-offset")
    with pytest.raises(SettingInvalid, match="FREEZE_AT=after-offset"):
        CrashPoints(Step, "", freeze_at="after-offset")
