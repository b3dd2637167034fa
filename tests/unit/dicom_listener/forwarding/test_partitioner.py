"""Murmur2 as Kafka reckons it."""

import pytest

from dicom_listener.forwarding.partitioner import murmur2, partition_of


@pytest.mark.parametrize(
    ("data", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_it_is_kafkas_own(data: bytes, signed: int) -> None:
    """The vectors of Kafka's UtilsTest."""
    assert murmur2(data) == signed % 2**32


def test_partitions_are_in_range() -> None:
    """Of as many as there are, none negative."""
    assert {partition_of(str(number).encode(), 4) for number in range(100)} == {0, 1, 2, 3}
