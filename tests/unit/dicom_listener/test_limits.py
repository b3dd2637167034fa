"""Who gets a slot, and how fast a sender may send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_listener.limits import Limits, Slots, TokenBucket
from dicom_listener.refusals import AE_LIMIT, LIMIT, SHARE


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_limit_is_reached_and_left_again() -> None:
    """As many associations as the limit says; one that ends makes room."""
    slots = Slots(Limits(total=2))

    assert slots.ask(1, "A", verification_only=False) is None
    assert slots.ask(2, "B", verification_only=False) is None
    assert slots.ask(3, "C", verification_only=False) == LIMIT
    slots.over(1)
    assert slots.ask(4, "C", verification_only=False) is None


def test_verification_has_slots_of_its_own() -> None:
    """C-ECHO is answered when every other slot is taken, and takes none of them."""
    slots = Slots(Limits(total=1, verification=1))
    slots.ask(1, "A", verification_only=False)

    assert slots.ask(2, "A", verification_only=True) is None
    assert slots.ask(3, "A", verification_only=True) == LIMIT
    slots.over(2)
    assert slots.ask(4, "A", verification_only=True) is None


def test_one_sender_has_a_limit_of_its_own() -> None:
    """The refusal says that it is the sender's limit; another sender is let in."""
    slots = Slots(Limits(total=10, per_ae=1))

    assert slots.ask(1, "A", verification_only=False) is None
    assert slots.ask(2, "A", verification_only=False) == AE_LIMIT
    assert slots.ask(3, "B", verification_only=False) is None


def test_the_last_quarter_is_for_who_has_less_than_a_share() -> None:
    """A sender that took three quarters of the slots gets no more; others fill the rest."""
    slots = Slots(Limits(total=8))

    taken = [slots.ask(number, "GREEDY", verification_only=False) for number in range(8)]

    assert taken == [None] * 6 + [SHARE] * 2
    assert slots.ask(8, "CT1", verification_only=False) is None
    assert slots.ask(9, "CT2", verification_only=False) is None
    assert slots.ask(10, "CT3", verification_only=False) == LIMIT


@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from("ABC"), st.booleans(), st.booleans()), max_size=200),
    st.integers(1, 12),
)
def test_no_order_of_events_goes_over_the_limit(events: list[tuple[int, str, bool, bool]], total: int) -> None:
    """Whatever is asked and ended, there are never more associations than the limits allow, and all slots come back."""
    slots = Slots(Limits(total=total, verification=2))
    held: set[int] = set()
    for number, calling_ae, verification_only, ends in events:
        if ends:
            slots.over(number)
            held.discard(number)
        elif number not in held and slots.ask(number, calling_ae, verification_only=verification_only) is None:
            held.add(number)
        assert slots.open == len(held) <= total + 2
    for number in held:
        slots.over(number)
    assert slots.open == 0


@pytest.mark.parametrize("tokens", [1, 7, 30])
def test_a_bucket_keeps_its_rate(tokens: int) -> None:
    """Whoever waits as told has at most a second's worth more than the rate allows."""
    clock = Clock()
    bucket = TokenBucket(10.0, clock)
    taken = 0

    while clock.now < 100:
        taken += tokens
        clock.now += bucket.take(tokens)

    assert 1000 <= taken <= 1010 + tokens


def test_a_bucket_forgets_what_was_not_used() -> None:
    """After a long silence there is one second's worth, no more."""
    clock = Clock()
    bucket = TokenBucket(10.0, clock)

    clock.now = 1000.0

    assert bucket.take(10) == 0.0
    assert bucket.take(1) == pytest.approx(0.1)


def test_a_bucket_goes_on_at_another_rate() -> None:
    """A smaller share counts at once, for what was saved too."""
    clock = Clock()
    bucket = TokenBucket(10.0, clock)

    bucket.set_rate(1.0)

    assert bucket.take(1) == 0.0
    assert bucket.take(1) == pytest.approx(1.0)
