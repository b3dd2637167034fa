"""Who gets a slot."""

from hypothesis import given
from hypothesis import strategies as st

from dicom_listener.processes.limits import WANTING_SECONDS, Limits, Slots
from dicom_listener.standard.refusals import AE_LIMIT, LIMIT, SHARE, Refusal


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


def _fill(slots: Slots, calling_ae: str, numbers: range) -> list[Refusal | None]:
    return [slots.ask(number, calling_ae, verification_only=False) for number in numbers]


def test_a_sender_that_is_alone_may_have_them_all() -> None:
    """Nothing is kept back while nobody else wants it."""
    assert _fill(Slots(Limits(total=8)), "PACS", range(9)) == [None] * 8 + [LIMIT]


def test_who_has_more_than_a_share_gives_way_to_who_was_refused() -> None:
    """CT1 comes when all are taken: what PACS ends is CT1's, up to an equal share; then both are refused more."""
    slots = Slots(Limits(total=8), Clock())
    _fill(slots, "PACS", range(8))
    assert _fill(slots, "CT1", range(8, 9)) == [LIMIT]

    for number in range(4):
        slots.over(number)

    assert _fill(slots, "PACS", range(10, 11)) == [SHARE]
    assert _fill(slots, "CT1", range(11, 15)) == [None] * 4
    assert _fill(slots, "CT1", range(15, 16)) == _fill(slots, "PACS", range(16, 17)) == [LIMIT]


def test_who_was_refused_and_does_not_come_again_is_forgotten() -> None:
    """A minute later the slots are anybody's again."""
    clock = Clock()
    slots = Slots(Limits(total=2), clock)
    _fill(slots, "PACS", range(2))
    _fill(slots, "CT1", range(2, 3))
    slots.over(0)
    assert _fill(slots, "PACS", range(3, 4)) == [SHARE]

    clock.now += WANTING_SECONDS + 1

    assert _fill(slots, "PACS", range(4, 5)) == [None]


def test_slots_may_be_reserved_for_senders_that_have_none() -> None:
    """With two reserved of eight, one sender gets six, and two others find a place at once."""
    slots = Slots(Limits(total=8, reserved=2))

    assert _fill(slots, "PACS", range(8)) == [None] * 6 + [SHARE] * 2
    assert _fill(slots, "CT1", range(8, 10)) == [None, SHARE]
    assert _fill(slots, "CT2", range(10, 11)) == [None]


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
