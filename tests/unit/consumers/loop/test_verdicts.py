"""Decisions about failures are pure, and know two meanings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.loop.breaker import in_a_row
from consumers.loop.verdicts import DeadLetter, Hold, Retry, RetryLimit, decide
from schemas import errors

LIMIT = RetryLimit(attempts=3)
TREE = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.RadStreamError)]


@pytest.mark.parametrize("kind", [one for one in TREE if one is not errors.NotEvaluable])
@given(attempts=st.integers(0, 100))
def test_only_what_is_retriable_is_tried_again_and_it_is_never_given_up(
    kind: type[errors.RadStreamError], attempts: int
) -> None:
    """Over the whole error tree."""
    verdict = decide(kind("why"), attempts, LIMIT)

    assert isinstance(verdict, Retry | Hold) == kind.retriable


def test_a_failure_outside_of_the_tree_is_internal() -> None:
    """Its text, which may quote a data set, goes nowhere."""
    assert decide(ValueError("DOE^JANE"), 0, LIMIT) == DeadLetter("internal")


def test_backoff_grows_to_the_hold() -> None:
    """Retries come later and later, and never later than a held lane's."""
    waits = [LIMIT.backoff_s(attempts) for attempts in range(20)]

    assert waits == sorted(waits)
    assert waits[-1] == LIMIT.hold_s


@given(st.integers(0, 10), st.lists(st.booleans()))
def test_a_row_ends_with_the_first_that_lives(before: int, deaths: list[bool]) -> None:
    """The count at the end is that of the trailing dead."""
    row, longest = in_a_row(before, deaths)

    trailing = len(deaths) - max((at + 1 for at, died in enumerate(deaths) if not died), default=0)
    assert row == (before + trailing if all(deaths) else trailing)
    assert longest >= row
