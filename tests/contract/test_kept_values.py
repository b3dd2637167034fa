"""What a store of kept values promises, asked of the one in memory and of Redis alike."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from radstream.kept_values import Bounds, KeptValues, MemoryValues, RedisValues
from tests.running import until

Make = Callable[[Bounds], KeptValues]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.stack)])
def make(request: pytest.FixtureRequest) -> Make:
    """Give a maker of stores of each kind, in a name of this test's own."""
    if request.param == "memory":
        return MemoryValues
    url, name = request.getfixturevalue("stack").redis_url, f"test:{uuid4().hex}"
    return lambda bounds: RedisValues(url, name, bounds)


#: A loaded machine is no failure here.
PATIENT = 10.0


class TestKeptValues:
    """One class for both."""

    def test_what_was_put_comes_back(self, make: Make) -> None:
        """Byte for byte, in the order asked for, None where there is nothing."""
        values = make(Bounds(step_seconds=PATIENT))
        values.put({"a": bytes(range(256)), "b": b""})

        assert values.get(["b", "none", "a"]) == [b"", None, bytes(range(256))]

    def test_a_value_is_replaced(self, make: Make) -> None:
        """The last one counts."""
        values = make(Bounds(step_seconds=PATIENT))
        values.put({"a": b"1"})

        values.put({"a": b"2"})

        assert values.get(["a"]) == [b"2"]

    def test_nothing_asked_nothing_given(self, make: Make) -> None:
        """Empty calls are answered."""
        values = make(Bounds(step_seconds=PATIENT))
        values.put({})

        assert values.get([]) == []

    def test_the_oldest_go_when_there_are_too_many(self, make: Make) -> None:
        """The number is bounded; a value that is put again counts as new."""
        values = make(Bounds(values=3, step_seconds=PATIENT))
        for key in "abcad":
            values.put({key: key.encode()})

        assert values.get(["a", "b", "c", "d"]) == [b"a", None, b"c", b"d"]

    def test_values_age(self, make: Make) -> None:
        """What is older than its time is gone."""
        values = make(Bounds(keep_seconds=0.2, step_seconds=PATIENT))

        values.put({"a": b"1"})

        until(lambda: values.get(["a"]) == [None], 20, "kept for ever")
