"""When a film was taken, by the modality's own clock: a feature to be watched, never a clock."""

import pytest
from pydicom import Dataset
from pydicom.config import disable_value_validation

from consumers.imaging.acquisition import acquired_at


def taken(**elements: str) -> Dataset:
    """Make a data set of these elements."""
    made = Dataset()
    with disable_value_validation():
        for keyword, value in elements.items():
            setattr(made, keyword, value)
    return made


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"AcquisitionDateTime": "20260102030405.5+0100"}, 1767319445.0),
        ({"AcquisitionDateTime": "20260102030405", "TimezoneOffsetFromUTC": "+0000"}, 1767323045.0),
        (
            {"AcquisitionDate": "20260102", "AcquisitionTime": "030405.25", "TimezoneOffsetFromUTC": "-0130"},
            1767328445.0,
        ),
        ({"ContentDate": "20260102", "ContentTime": "030405", "TimezoneOffsetFromUTC": "+0000"}, 1767323045.0),
    ],
)
def test_the_acquisition_time_is_read_with_its_offset(elements: dict[str, str], expected: float) -> None:
    """DT with its own, or DA and TM with that of the data set."""
    assert acquired_at(taken(**elements)) == expected


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"AcquisitionDateTime": "20260102030405"},
        {"AcquisitionDate": "20260102", "TimezoneOffsetFromUTC": "+0000"},
        {"AcquisitionDate": "20260102", "AcquisitionTime": "03", "TimezoneOffsetFromUTC": "+0000"},
        {"AcquisitionDateTime": "20261399996161+0000"},
    ],
)
def test_what_can_not_be_told_is_none(elements: dict[str, str]) -> None:
    """No offset, no seconds, no such day."""
    assert acquired_at(taken(**elements)) is None
