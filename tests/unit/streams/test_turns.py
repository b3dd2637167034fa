"""Nothing that was delivered may be skipped, and only what was handled is committed."""

from streams.turns import Turns


def delivered(*offsets: int) -> Turns[str]:
    """Give the turns of one partition, to which records were delivered."""
    turns: Turns[str] = Turns()
    for offset in offsets:
        turns.deliver("p", offset)
    return turns


def test_markers_between_records_are_no_matter() -> None:
    """Offsets that were never delivered (markers, aborted records) are nobody's turn."""
    turns = delivered(5, 6, 8)

    assert [turns.is_next("p", offset) for offset in (5, 6, 8)] == [True, True, True]


def test_a_skipped_record_is_noticed() -> None:
    """A record that got lost on its way to the handler must not be committed over."""
    turns = delivered(5, 6, 8)

    assert [turns.is_next("p", offset) for offset in (5, 8)] == [True, False]


def test_a_record_that_was_never_delivered_is_noticed() -> None:
    """A record of an earlier assignment is nobody's turn."""
    assert not delivered().is_next("p", 5)


def test_delivery_alone_commits_nothing() -> None:
    """What waits for its handler is read again after a crash."""
    assert delivered(5).to_commit("p") is None


def test_the_offset_after_the_last_handled_record_is_committed() -> None:
    """And only in the partitions where something was handled."""
    turns = delivered(5, 6, 8)
    turns.handle("p", 6)

    assert (turns.to_commit("p"), turns.to_commit("q"), turns.partitions) == (7, None, ["p"])


def test_another_assignment_begins_anew() -> None:
    """What an earlier assignment handled is not committed in a later one."""
    turns = delivered(5, 6)
    turns.handle("p", 5)
    turns.forget()

    assert (turns.to_commit("p"), turns.is_next("p", 6)) == (None, False)
