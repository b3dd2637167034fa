"""Stage A: each result counts once, in whole cumulative panes."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.inference_completed import InferenceCompleted
from schemas.pane_updated import PaneUpdated
from schemas.words import Outcome, Reason, Role
from streams.features import DEFAULT_EDGES, NAMED_SLICES, Measure
from streams.panes import REVISABLE, PaneBook, Store
from tests.unit.streams.results import NOON, result

TOPIC = "inference.completed"


def book(store: Store | None = None, measure: Measure | None = None, partition: int = 0) -> PaneBook:
    """Give the book of a partition over a store."""
    edges = measure or Measure(DEFAULT_EDGES)
    return PaneBook({} if store is None else store, TOPIC, partition, lambda _model, _version: edges)


def counted(panes: PaneBook, one: InferenceCompleted, offset: int) -> list[PaneUpdated]:
    """Count a result and give what is sent then."""
    panes.count(one, offset)
    return panes.flush()


def slices(panes: list[PaneUpdated]) -> set[str]:
    """Name the slices of panes."""
    return {pane.slice for pane in panes}


def slice_of(panes: list[PaneUpdated], name: str) -> PaneUpdated:
    """Pick the pane of a slice."""
    return next(pane for pane in panes if pane.slice == name)


def test_a_pane_is_whole_and_cumulative() -> None:
    """The second result's pane holds both results: whoever reads it may overwrite the first."""
    panes = book()
    counted(panes, result(), offset=4)

    second = slice_of(counted(panes, result(finding="NORMAL"), offset=5), "all")

    assert (second.n, second.last_offset, second.source_partition) == (2, 5, 0)
    assert second.histograms["finding"].counts == {"PNEUMONIA": 1, "NORMAL": 1}


def test_many_results_make_one_pane() -> None:
    """Between two flushes a pane is kept and sent once, however many results it took."""
    store: Store = {}
    panes = book(store)
    for offset in range(100):
        panes.count(result(), offset)

    sent = panes.flush()

    assert [(pane.n, pane.last_offset) for pane in sent] == [(100, 99)] * 3
    assert panes.flush() == []


def test_what_was_not_flushed_is_not_in_the_store() -> None:
    """A crash before the flush leaves nothing half: the results are read and counted again."""
    store: Store = {}
    book(store).count(result(), offset=0)

    assert slice_of(counted(book(store), result(), offset=0), "all").n == 1


def test_a_result_counts_in_each_of_its_slices() -> None:
    """All, the site and the manufacturer; the manufacturer's name in one spelling."""
    panes = counted(book(), result(site="north", manufacturer=" ACME  Imaging "), offset=0)

    assert slices(panes) == {"all", "site=north", "manufacturer=acme imaging"}


def test_features_fall_in_the_references_bins() -> None:
    """Score, brightness and contrast are counted over the edges that the model ships."""
    measure = Measure({"score": (0.0, 0.5, 1.0), "brightness": (0.0, 128.0, 256.0), "contrast": (0.0, 40.0, 80.0)})

    pane = counted(book(measure=measure), result(), offset=0)[0]

    counts = {name: pane.histograms[name].counts for name in measure.edges}
    assert counts == {"score": {"b1": 1}, "brightness": {"b0": 1}, "contrast": {"b1": 1}}
    assert pane.histograms["score"].edges == (0.0, 0.5, 1.0)


def test_what_was_not_evaluated_has_no_score() -> None:
    """An image without an answer counts in `outcome` alone, not as a score of nought."""
    given_up = result(
        outcome=Outcome.NOT_EVALUATED,
        reason=Reason.VIEW,
        probabilities=None,
        finding=None,
        threshold=None,
        image_statistics=None,
    )

    pane = counted(book(), given_up, offset=0)[0]

    assert pane.histograms["outcome"].counts == {"not_evaluated": 1}
    assert set(pane.histograms) == {"outcome", "manufacturer"}


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60))
def test_offsets_that_come_again_change_nothing(starts: list[int]) -> None:
    """However often the log is read again from an earlier offset, each offset counts once."""
    panes, seen, n = book(), -1, 0
    for start in starts:
        for offset in range(min(start, seen + 1), start + 1):
            n = slice_of(counted(panes, result(), offset), "all").n
            seen = max(seen, offset)

    assert n == seen + 1


def test_a_repeat_sends_the_same_pane_again() -> None:
    """The first send may be what a crash cut off."""
    panes = book()
    first = counted(panes, result(), offset=7)

    assert counted(panes, result(), offset=7) == first


@pytest.mark.parametrize("passed_by", [{"result_revision": 2}, {"role": Role.SHADOW}, {"role": Role.UNKNOWN}], ids=str)
def test_replays_and_shadows_are_not_counted(passed_by: dict[str, object]) -> None:
    """Streams count first revisions of delivered answers only (promise 2)."""
    assert counted(book(), result(**passed_by), offset=0) == []


def test_a_canary_is_counted() -> None:
    """A canary answers for patients, so its answers count."""
    assert counted(book(), result(role=Role.CANARY), offset=0)


def test_a_book_goes_on_from_its_store() -> None:
    """After a restart the table is all there is, and it is enough."""
    store: Store = {}
    counted(book(store), result(), offset=0)

    panes = counted(book(store), result(), offset=1)

    assert slice_of(panes, "all").n == 2


def test_partitions_do_not_mix_in_one_store() -> None:
    """The memory store is one dict for all partitions."""
    store: Store = {}
    counted(book(store, partition=0), result(), offset=0)

    panes = counted(book(store, partition=1), result(), offset=0)

    assert slice_of(panes, "all").n == 1


def test_a_result_counts_in_the_minute_of_its_receipt() -> None:
    """Event time is the listener's receipt, not when the model got to it."""
    done_later = result(received_at=NOON + timedelta(seconds=59), completed_at=NOON + timedelta(hours=3))

    assert counted(book(), done_later, offset=0)[0].pane_start == NOON


def test_what_is_too_late_counts_as_late_when_it_was_made() -> None:
    """After seven days a result changes no old window: it is counted as late in the present one."""
    made_at = NOON + REVISABLE + timedelta(seconds=1)

    pane = counted(book(), result(completed_at=made_at), offset=0)[0]

    assert (pane.n, pane.histograms["late"].counts) == (0, {"too_late": 1})
    assert pane.pane_start == made_at.replace(second=0)


def test_slices_are_bounded() -> None:
    """A sender that invents sites gets no unbounded state: the rest share one slice."""
    panes = book()
    for number in range(NAMED_SLICES):
        counted(panes, result(site=f"s{number}"), offset=number)

    beyond = counted(panes, result(site="one too many"), offset=NAMED_SLICES)

    assert "site=other" in slices(beyond)


def test_the_bound_survives_a_restart() -> None:
    """The named slices are those in the store; the known ones keep their names."""
    store: Store = {}
    for number in range(NAMED_SLICES):
        counted(book(store), result(site=f"s{number}"), offset=number)

    again = book(store)

    assert "site=s0" in slices(counted(again, result(site="s0"), offset=100))
    assert "site=other" in slices(counted(again, result(site="new"), offset=101))


def test_old_panes_go() -> None:
    """State is bounded: minutes that can't change any more are let go, younger ones stay."""
    store: Store = {}
    panes = book(store)
    counted(panes, result(), offset=0)
    counted(panes, result(received_at=NOON + timedelta(minutes=2)), offset=1)

    gone = panes.prune(NOON + timedelta(minutes=1))

    assert (gone, len(store)) == (3, 3)


def test_other_edges_start_the_numbers_anew() -> None:
    """Counts over other edges can't be merged: the numbers start again, the categories go on."""
    store: Store = {}
    counted(book(store), result(), offset=0)
    other = Measure({**DEFAULT_EDGES, "score": (0.0, 1.0)})

    pane = counted(book(store, other), result(), offset=1)[0]

    assert (pane.n, pane.histograms["finding"].counts) == (2, {"PNEUMONIA": 2})
    assert pane.histograms["score"].counts == {"b0": 1}


def test_the_score_is_that_of_the_finding() -> None:
    """The positive class is the one that isn't negative, whichever stands first."""
    measure = Measure({**DEFAULT_EDGES, "score": (0.0, 0.5, 1.0)}, negative="CLEAR")
    odd = replace(result(), probabilities={"SHADED": 0.9, "CLEAR": 0.1}, finding="SHADED")

    pane = counted(book(measure=measure), odd, offset=0)[0]

    assert pane.histograms["score"].counts == {"b1": 1}
