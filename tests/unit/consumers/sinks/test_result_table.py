"""Results on their way into the table."""

from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from consumers.sinks.result_table import COLUMNS, highest_revisions, row
from schemas.identity import dead_letter_id
from schemas.inference_completed import InferenceCompleted
from schemas.topics import COMPLETED
from tests.unit.schemas.samples import SAMPLES

SAMPLE = SAMPLES[COMPLETED]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), min_size=1))
def test_of_each_id_the_highest_revision_is_kept_in_any_order(given: list[tuple[int, int]]) -> None:
    """A statement must not touch a row twice."""
    assert isinstance(SAMPLE, InferenceCompleted)
    ids = [dead_letter_id("g", "t", 0, number) for number in range(4)]
    results = [replace(SAMPLE, result_id=ids[number], result_revision=revision) for number, revision in given]

    kept = {one.result_id: one.result_revision for one in highest_revisions(results)}

    assert kept == {ids[number]: max(r for n, r in given if n == number) for number, _ in given}
    assert len(highest_revisions(results)) == len(kept)


def test_each_column_is_a_field_of_the_record() -> None:
    """And a row has them in order."""
    assert isinstance(SAMPLE, InferenceCompleted)

    assert set(COLUMNS) <= {one.name for one in fields(InferenceCompleted)}
    assert row(SAMPLE)[0] == str(SAMPLE.result_id)
    assert len(row(SAMPLE)) == len(COLUMNS)
