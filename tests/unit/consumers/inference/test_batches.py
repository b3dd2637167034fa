"""Batches: one lane and one model each, due by size or age, STAT first, and nobody waits for ever."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.inference.batches import Batches, BatchLimits
from consumers.lanes.queue import TURNS
from schemas.words import Lane

LIMIT, AGE_S = 3, 1.0
ARRIVALS = st.lists(st.tuples(st.sampled_from(Lane), st.sampled_from("ab"), st.floats(0, 2)), max_size=60)
Item = tuple[int, Lane, str, float]


def filled(arrivals: list[tuple[Lane, str, float]]) -> tuple[Batches[str, Item], float]:
    """Put images in, each some seconds after the one before; give the time of the last."""
    batches: Batches[str, Item] = Batches(BatchLimits(LIMIT, AGE_S), lambda _model: 1000)
    now = 0.0
    for number, (lane, model, pause_s) in enumerate(arrivals):
        now += pause_s
        batches.put(lane, model, (number, lane, model, now), now)
    return batches, now


def taken(batches: Batches[str, Item], now: float) -> list[tuple[str, list[Item]]]:
    """Take all that is due."""
    found = []
    while (one := batches.take(now)) is not None:
        found.append(one)
    return found


@given(ARRIVALS)
def test_a_batch_is_of_one_lane_and_one_model_and_in_order(arrivals: list[tuple[Lane, str, float]]) -> None:
    """Versions never mix, no batch is over its limit, and the oldest goes first."""
    batches, now = filled(arrivals)

    for model, batch in taken(batches, now):
        assert 1 <= len(batch) <= LIMIT
        assert len({item[1] for item in batch}) == 1
        assert {item[2] for item in batch} == {model}
        assert batch == sorted(batch)


@given(ARRIVALS)
def test_all_come_out_once_when_their_age_is_reached(arrivals: list[tuple[Lane, str, float]]) -> None:
    """Nothing is lost, nothing is there twice, whatever came."""
    batches, now = filled(arrivals)

    found = taken(batches, now + AGE_S)

    assert sorted(item[0] for _, batch in found for item in batch) == list(range(len(arrivals)))
    assert (len(batches), batches.due_at()) == (0, None)


@given(ARRIVALS)
def test_what_is_left_is_neither_full_nor_old(arrivals: list[tuple[Lane, str, float]]) -> None:
    """A batch waits for more only as long as its age allows, and `due_at` says how long."""
    batches, now = filled(arrivals)
    taken(batches, now)

    due_at = batches.due_at()

    assert len(batches) <= (LIMIT - 1) * len(Lane) * len("ab")
    assert due_at is None or now < due_at <= now + AGE_S
    assert due_at is None or batches.take(due_at) is not None


@given(ARRIVALS)
def test_what_comes_out_is_full_or_old(arrivals: list[tuple[Lane, str, float]]) -> None:
    """A GPU's batch is worth a wait, as long as its age allows."""
    batches, now = filled(arrivals)

    for _, batch in taken(batches, now):
        assert len(batch) == LIMIT or now >= batch[0][3] + AGE_S


@given(st.integers(1, 40), st.lists(st.booleans(), min_size=30, max_size=100))
def test_stat_waits_for_one_batch_in_ten(stat_waiting: int, more: list[bool]) -> None:
    """Under any backlog of routine, at most one routine batch stands between ten of STAT, and never fewer."""
    batches: Batches[str, Lane] = Batches(BatchLimits(1), lambda _model: 1)
    for _ in range(200):
        batches.put(Lane.ROUTINE, "a", Lane.ROUTINE, 0)
    for _ in range(stat_waiting):
        batches.put(Lane.STAT, "a", Lane.STAT, 0)
    passed_over = 0

    for another in more:
        _, (lane,) = batches.take(0) or ("", [Lane.STAT])
        if lane is Lane.STAT:
            stat_waiting -= 1
            passed_over += 1
            assert passed_over < TURNS
        else:
            assert stat_waiting == 0 or passed_over == TURNS - 1
            passed_over = 0
        if another:
            batches.put(Lane.STAT, "a", Lane.STAT, 0)
            stat_waiting += 1


def test_an_engine_that_gains_nothing_by_batches_gets_one_image() -> None:
    """On a CPU a STAT image then waits for one pass, not for a batch of them."""
    batches: Batches[str, int] = Batches(BatchLimits(8, 60.0), lambda _model: 1)
    batches.put(Lane.ROUTINE, "a", 1, 0)
    batches.put(Lane.ROUTINE, "a", 2, 0)

    assert batches.take(0) == ("a", [1])
