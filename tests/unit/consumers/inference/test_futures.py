"""Chained work: whatever fails anywhere, who waits hears of it."""

from concurrent.futures import Future

import pytest

from consumers.inference.futures import followed, gathered, settled, tolerated


def failed(error: Exception) -> "Future[int]":
    """Give a future that failed."""
    made: Future[int] = Future()
    made.set_exception(error)
    return made


def test_an_error_of_either_stage_or_in_between_is_raised() -> None:
    """A future that never settled would hold its partition for ever."""

    def broken(_value: int) -> "Future[int]":
        raise ZeroDivisionError

    for made in (
        followed(failed(ZeroDivisionError()), settled),
        followed(settled(1), lambda _one: failed(ZeroDivisionError())),
        followed(settled(1), broken),
        gathered([settled(1), failed(ZeroDivisionError())]),
        tolerated(failed(ZeroDivisionError()), when=False),
    ):
        with pytest.raises(ZeroDivisionError):
            made.result(0)


def test_gathered_waits_for_all_and_keeps_the_order() -> None:
    """Even when the last one is done first."""
    first: Future[int] = Future()
    both = gathered([first, settled(2)])
    assert not both.done()

    first.set_result(1)

    assert both.result(0) == [1, 2]


def test_nothing_to_gather_is_done_at_once() -> None:
    """No future would ever call back."""
    assert gathered([]).result(0) == []
