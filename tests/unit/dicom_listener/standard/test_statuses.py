"""Each refusal has its status."""

import pytest

from dicom_listener.standard.statuses import STATUS_OF, StoreStatus, status_of
from schemas.errors import BadInstance, KafkaDown, RadStreamError


def _leaves(kind: type[RadStreamError]) -> set[type[RadStreamError]]:
    below = kind.__subclasses__()
    return {kind} if not below else {leaf for one in below for leaf in _leaves(one)}


def test_every_error_of_an_instance_has_a_status() -> None:
    """No BadInstance falls back on the status for what nobody foresaw."""
    assert _leaves(BadInstance) == set(STATUS_OF)


@pytest.mark.parametrize("error", [KafkaDown("x"), ValueError("x")])
def test_what_nobody_foresaw_is_a_processing_failure(error: Exception) -> None:
    """The sender keeps its image."""
    assert status_of(error) is StoreStatus.PROCESSING_FAILURE


def test_statuses_are_those_of_the_standard() -> None:
    """PS3.4 B.2.3 and PS3.7 annex C."""
    assert [int(status) for status in StoreStatus] == [0, 0x0110, 0x0117, 0x0122, 0xA700, 0xA900, 0xC000]
