"""The door's images keep to their share: a flood of them leaves decoders and engine to the log's."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import pytest

from consumers.door.desk import Desk, Shares
from consumers.door.predicted import Predicted, study_of
from consumers.inference.batches import BatchLimits
from consumers.inference.forward import Forward
from consumers.models.loaded import Assignment, OneModel
from consumers.results.outcome import Named
from schemas.instance_received import InstanceReceived
from schemas.words import Lane, Role
from tests.running import until
from tests.unit.consumers.door.site import Pool, image
from tests.unit.consumers.loaded import FirstPixel, loaded

SHARES = Shares(decoding=2, under_way=3, decode_seconds=20)


@pytest.fixture
def pool() -> Pool:
    """Give decoders."""
    return Pool()


@pytest.fixture
def forward() -> Iterator[Forward]:
    """Give an engine that the test turns by hand."""
    made = Forward(BatchLimits(), threads=0)
    yield made
    made.close()


@pytest.fixture
def desk(pool: Pool, forward: Forward) -> Desk:
    """Give a desk before both."""
    return Desk(pool, forward, OneModel(Assignment(model=loaded(FirstPixel()))), SHARES)


def finished(forward: Forward, answers: list[Future[Predicted]]) -> list[str | None]:
    """Turn the engine until all are answered; give the findings."""
    until(lambda: forward.turn() or all(one.done() for one in answers), 20, "not answered")
    while not all(one.done() for one in answers):
        forward.turn()
    return [one.result().result.finding for one in answers]


def test_no_more_than_their_share_are_at_the_decoders(desk: Desk, pool: Pool, forward: Forward) -> None:
    """However many were sent."""
    answers = [desk.ask(Lane.ROUTINE, image(f"hold {number}")) for number in range(20)]
    waiting = desk.waiting
    while not all(one.done() for one in answers):
        pool.let_go()
        forward.turn()

    assert waiting == 18
    assert pool.most_at_once == SHARES.decoding


def test_no_more_than_their_share_wait_for_the_engine(desk: Desk, pool: Pool, forward: Forward) -> None:
    """So that a STAT image from the log waits for a few of them at most, whatever their lane."""
    answers = [desk.ask(Lane.STAT, image("1.0")) for _ in range(20)]

    assert (forward.waiting, desk.waiting) == (3, 17)
    assert finished(forward, answers) == ["PNEUMONIA"] * 20
    assert pool.at_once == 0


def test_stat_goes_first(desk: Desk, pool: Pool) -> None:
    """Among the door's own, too."""
    for number in range(4):
        desk.ask(Lane.ROUTINE, image(f"hold {number}"))
    desk.ask(Lane.STAT, image("hold stat"))

    pool.let_go()

    assert [order for _, order in pool.seen][2] == "hold stat"


def test_an_image_that_nobody_waits_for_is_dropped(desk: Desk, pool: Pool, forward: Forward) -> None:
    """Before any decoder begins it."""
    held = [desk.ask(Lane.ROUTINE, image(f"hold {number}")) for number in range(2)]
    dropped = desk.ask(Lane.ROUTINE, image("-1.0"))
    last = desk.ask(Lane.ROUTINE, image("1.0"))

    assert dropped.cancel()
    pool.let_go()

    assert finished(forward, [*held, last]) == ["PNEUMONIA"] * 3
    assert "-1.0" not in {order for _, order in pool.seen}


def test_a_failure_gives_its_place_back(desk: Desk, forward: Forward) -> None:
    """Reasons, failures of ours, no image: none of them keeps a place."""
    for content in (image("view"), image("nonsense"), b"none", image("internal")) * 5:
        assert desk.ask(Lane.ROUTINE, content).exception(20) is not None

    assert finished(forward, [desk.ask(Lane.ROUTINE, image("1.0"))]) == ["PNEUMONIA"]


def test_a_result_names_no_image(desk: Desk, forward: Forward) -> None:
    """What stands for its event says nothing."""
    answer = desk.ask(Lane.ROUTINE, image("1.0"))
    finished(forward, [answer])

    result = answer.result().result
    assert {result.study_pseudonym, result.instance_pseudonym, result.object_key, result.sha256, result.site} == {""}


class Canary:
    """A deployment whose canary answers the studies that begin with 0 to 4."""

    def of(self, event: InstanceReceived, _asked: object) -> Sequence[Assignment]:
        is_canary = event.study_pseudonym[:1] < "5"
        visible = Assignment(
            model=loaded(FirstPixel(), "2.0.0" if is_canary else "1.0.0"),
            role=Role.CANARY if is_canary else Role.CHAMPION,
        )
        return (visible, Assignment(model=loaded(FirstPixel(), "3.0.0"), role=Role.SHADOW))

    def who(self, event: InstanceReceived, asked: object) -> Named:
        return self.of(event, asked)[0].answering


def test_a_canary_has_its_share_and_a_file_one_version(pool: Pool, forward: Forward) -> None:
    """An image from here has no study, so its bytes say whose it is, however often it is sent; never the shadow's."""
    desk = Desk(pool, forward, Canary(), SHARES)
    files = [image(f"{number / 8}") for number in range(24)] * 2
    answers = [desk.ask(Lane.ROUTINE, one) for one in files]
    finished(forward, answers)

    by = [answer.result().result.model_version for answer in answers]
    assert by == ["2.0.0" if study_of(one)[:1] < "5" else "1.0.0" for one in files]
    assert set(by) == {"1.0.0", "2.0.0"}


def test_everybody_who_answers_is_listed(pool: Pool, forward: Forward) -> None:
    """The champion first."""
    listed = Desk(pool, forward, Canary(), SHARES).assigned()

    assert [(one.model.version, one.role) for one in listed] == [
        ("1.0.0", Role.CHAMPION),
        ("3.0.0", Role.SHADOW),
        ("2.0.0", Role.CANARY),
    ]
