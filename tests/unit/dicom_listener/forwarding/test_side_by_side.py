"""A step for each image of a batch, by whoever has time."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from dicom_listener.forwarding.side_by_side import SideBySide
from dicom_listener.forwarding.work import Ticket, Work

if TYPE_CHECKING:
    from radstream.spool.entry import Entry


def _works(count: int) -> list[Work]:
    return [Work(cast("Entry", SimpleNamespace(path=Path(f"{number}"))), Ticket()) for number in range(count)]


def test_who_waits_does_what_nobody_has_begun() -> None:
    """Without helpers all is done in order; an image for which it could not be done is left out."""
    works, seen = _works(3), []

    def step(work: Work) -> bool:
        seen.append(work)
        return work is not works[1]

    storing = SideBySide(step)
    done = storing.done(storing.begin(works))

    assert seen == works
    assert done == [works[0], works[2]]


def test_who_waits_leaves_other_batches_alone_once_its_own_is_done() -> None:
    """An image that came later may take long."""
    (mine,), (other,) = _works(1), _works(1)
    seen: list[Work] = []

    def step(work: Work) -> bool:
        seen.append(work)
        return True

    storing = SideBySide(step)
    jobs = storing.begin([mine])
    storing.begin([other])

    assert storing.done(jobs) == [mine]
    assert seen == [mine]


def test_helpers_do_it_side_by_side_until_they_are_let_go() -> None:
    """Two images are in hand at the same time, or neither would be done."""
    both = threading.Barrier(2, timeout=30)

    def step(_: Work) -> bool:
        both.wait()
        return True

    storing, works = SideBySide(step), _works(4)
    helpers = [threading.Thread(target=storing.run) for _ in range(2)]
    for helper in helpers:
        helper.start()
    jobs = storing.begin(works)
    storing.wait(jobs, 30)
    done = storing.done(jobs)
    storing.end(2)
    for helper in helpers:
        helper.join(30)

    assert done == works
    assert not any(helper.is_alive() for helper in helpers)


def test_a_batch_that_takes_long_is_not_waited_for_longer_than_told() -> None:
    """Nobody does it, so the wait ends by its time."""
    storing = SideBySide(lambda _: True)
    jobs = storing.begin(_works(1))

    storing.wait(jobs, 0.001)

    assert not jobs[0][1].done()
