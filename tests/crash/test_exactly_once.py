"""One visible result for each image, whatever happens to the members of the group and to the broker (promise 2)."""

import random
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import pytest

from consumers.inference.crash_points import Step
from radstream.settings import Settings, process_environment
from radstream.stack.site import Site
from tests.crash.members import AT_RANDOM, BROKER, FROZEN, SCALED, Crowd, Stream
from tests.integration.consumers.conftest import made_from_now
from tests.integration.consumers.films import small
from tests.publishing import Sender, skip_to_the_end
from tests.running import Service

pytestmark = pytest.mark.stack

MEMBERS = 3
#: A killed member's partitions move, and what it had in hand is answered, in this time (seconds).
MOVED_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Size:
    """How often what is done to a group, and how many images it answers at least."""

    steps: int
    killed: int
    frozen: int
    broker: int
    scaled: int
    images: int

    def plan(self, rng: random.Random) -> list[list[str]]:
        """Mix it; the named steps two at a time, so that a member is left to go on."""
        steps = rng.sample([*Step] * self.steps, len(Step) * self.steps)
        pairs: list[list[str]] = [list(steps[at : at + 2]) for at in range(0, len(steps), 2)]
        plan = pairs + [[name] for name in self._others().elements()]
        return rng.sample(plan, len(plan))

    def hits(self) -> Counter[str]:
        """Count what the plan holds."""
        return Counter([str(step) for step in Step] * self.steps) + self._others()

    def _others(self) -> Counter[str]:
        return Counter({AT_RANDOM: self.killed, FROZEN: self.frozen, BROKER: self.broker, SCALED: self.scaled})


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(
            Size(steps=1, killed=0, frozen=1, broker=0, scaled=0, images=100),
            marks=pytest.mark.timeout(600),
            id="short",
        ),
        pytest.param(
            Size(steps=6, killed=20, frozen=6, broker=4, scaled=4, images=2_000),
            marks=[pytest.mark.crash, pytest.mark.timeout(2400)],
            id="long",
        ),
    ],
)
def test_each_image_has_one_visible_result(size: Size, site: Site, service: Callable[..., Service]) -> None:
    """Members killed at each step and at random, zombies, rebalances, the broker killed: nothing lost, nothing twice.

    RADSTREAM_TEST_SEED repeats a run's plan.
    """
    seed = int(process_environment().get("RADSTREAM_TEST_SEED", secrets.randbelow(10**9)))
    print(f"RADSTREAM_TEST_SEED={seed}")  # noqa: T201 - pytest shows it with a failure, `make crash` always
    rng = random.Random(seed)  # noqa: S311 - no secret
    settings = Settings.from_environment(site.environment)
    skip_to_the_end(settings, settings.model_dir.parent.name)
    sender = Sender(settings)
    stream = Stream(sender, made_from_now(settings, sender), small())

    def begin(slot: int) -> Service:
        return service("inference", wait=False, RADSTREAM_INFERENCE_SLOT=f"{seed}-{slot}", RADSTREAM_DECODE_WORKERS="1")

    crowd = Crowd(begin, stream, site, rng)

    crowd.run(size.plan(rng), MEMBERS)
    while (missing := size.images - len(stream.sent)) > 0:
        stream.send(min(missing, 100))
        stream.wait_empty("images have no result")

    assert stream.breaches() == []
    assert len(stream.sent) >= size.images
    assert crowd.hits == size.hits()
    assert crowd.caught >= crowd.hits.total()
    print(  # noqa: T201 - the figures of a long run
        f"{len(stream.sent)} images, {crowd.hits.total()} strikes that hit {crowd.caught} images without a result, "
        f"{crowd.ended} members ended by themselves, partitions moved in {[round(one, 1) for one in crowd.moved]} s"
    )
    assert not crowd.moved or median(crowd.moved) < MOVED_SECONDS
