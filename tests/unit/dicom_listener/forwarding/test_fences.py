"""Which writers are over for certain."""

from dicom_listener.forwarding.fences import FOREIGN_DOUBT_SECONDS, MOST_WRITERS, Fences, transactional_id, writer_of
from radstream.settings import Settings


def test_a_writer_is_over_when_it_was_fenced_after_it_began() -> None:
    """What began before the fence is over; what began after it, and what nobody fenced, may still be written."""
    fences = Fences(Settings.from_environment({}))
    assert not fences.is_over("0+1", 1.0)

    fences.fenced("0+1")

    assert fences.is_over("0+1", 1.0)
    assert not fences.is_over("0+1", -1.0)
    assert not fences.is_over("0+2", 1.0)
    assert fences.is_over("0+2", FOREIGN_DOUBT_SECONDS + 1)


def test_writers_have_ids_of_their_own() -> None:
    """Of one slot and of the slots of a listener's processes; the first is the slot's own, as it always was."""
    ids = [transactional_id(writer_of(slot, number)) for slot in ("0", "0-1") for number in range(MOST_WRITERS)]

    assert len(set(ids)) == 2 * MOST_WRITERS
    assert ids[0] == "dicom_listener.0"
