"""What is forwarded next, and by whom."""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from dicom_listener.forwarding.waiting_line import StudyLine
from dicom_listener.forwarding.work import Ticket, Work
from dicom_listener.standard.header import Header

if TYPE_CHECKING:
    from radstream.spool.entry import Entry


def _work(study: str) -> Work:
    return Work(cast("Entry", SimpleNamespace(path=Path("x"))), Ticket(), Header({"study_instance_uid": study}))


def test_images_go_as_they_came() -> None:
    """The order of a lane is the order of arrival; what has no header yet counts as one study."""
    line = StudyLine()
    works = [_work("A"), _work("B"), Work(cast("Entry", SimpleNamespace(path=Path("x"))), Ticket())]
    for work in works:
        line.put(work)

    assert line.batch(10) == works
    assert line.batch(10, 0) == []


def test_a_study_is_one_carriers_at_a_time_and_stays_in_order() -> None:
    """The second carrier passes over what the first one has in hand, and gets it in order when that is done."""
    line = StudyLine()
    a1, a2, a3, b1 = _work("A"), _work("A"), _work("A"), _work("B")
    line.put(a1)
    first = line.batch(10)
    for work in (a2, b1):
        line.put(work)

    second = line.batch(10)
    line.put(a3)
    assert (first, second, line.batch(10, 0)) == ([a1], [b1], [])
    line.done(first)

    assert line.batch(10, 0) == [a2, a3]


def test_a_carrier_takes_all_of_a_study_that_is_ready() -> None:
    """One batch keeps its order; the limit holds."""
    line = StudyLine()
    works = [_work("A") for _ in range(5)]
    for work in works:
        line.put(work)

    batch = line.batch(3)
    line.done(batch)

    assert batch == works[:3]
    assert line.batch(3, 0) == works[3:]


def test_what_is_held_for_later_keeps_nobody_from_its_study() -> None:
    """A batch gives its studies back as a whole; what is put again waits its turn."""
    line = StudyLine()
    one, other = _work("A"), _work("A")
    line.put(one)
    batch = line.batch(10)
    line.put(other)
    line.put(one)
    line.done(batch)

    assert line.batch(10, 0) == [other, one]


def test_a_small_batch_waits_for_what_is_about_to_come() -> None:
    """What comes meanwhile goes together with it; where nothing is ready, nobody is asked to wait."""
    late, asked = _work("B"), []

    def gather() -> None:
        asked.append(len(line))
        line.put(late)

    line = StudyLine(gather)
    assert line.batch(10, 0) == []
    first = _work("A")
    line.put(first)

    assert line.batch(10) == [first, late]
    assert asked == [1]


def test_images_that_somebody_has_in_hand_are_nothing_to_wait_for() -> None:
    """The next of a study is not ready while the one before it is under way."""
    asked: list[int] = []
    line = StudyLine(lambda: asked.append(1))
    line.put(_work("A"))
    line.batch(9)
    line.put(_work("A"))

    assert line.batch(9, 0.001) == []
    assert asked == [1]
