"""The quality checks: phantoms damaged on purpose are found, whole ones are not, and a judgement costs little."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.imaging.pose import Pose, log_odds, pose_of
from consumers.imaging.prepare import prepare
from consumers.imaging.preprocess import InputSpec, resize
from consumers.imaging.quality import judge, limits, quality_of, scores_of
from consumers.imaging.statistics import LEVELS
from radstream.phantoms.anatomy import chest
from schemas.errors import NotEvaluable
from schemas.words import Reason, ReviewReason
from training.damage import DAMAGES, Grey, shrunk, stretched, turned

SIDE = 224
SPEC = InputSpec(SIDE, SIDE, (0.5,) * 3, (0.5,) * 3)
Build = Callable[..., bytes]


@cache
def phantom(seed: int) -> Grey:
    """Draw a chest whose levels keep off both ends of the scale."""
    drawn = chest(np.random.default_rng(seed), opacities=seed % 2 == 1)
    return resize(np.rint(60 + 130 * drawn).astype(np.uint8), SPEC)


@pytest.mark.parametrize("seed", range(6))
def test_a_whole_film_is_not_flagged(seed: int) -> None:
    """No check finds anything in an upright phantom."""
    found = quality_of(phantom(seed), (SIDE, SIDE))

    assert (found.flags, found.grave) == ((), False)


@pytest.mark.parametrize("name", [name for name, one in DAMAGES.items() if one.flag is not ReviewReason.CROPPED])
@pytest.mark.parametrize("seed", range(3))
def test_damage_is_found_and_named(name: str, seed: int) -> None:
    """Each damage has its flag."""
    damage = DAMAGES[name]
    side = damage.side or SIDE

    found = quality_of(damage.spoil(phantom(seed), np.random.default_rng(seed)), (side, side))

    assert damage.flag in found.flags


def test_most_cropped_films_are_found() -> None:
    """A piece of a chest is likelier cropped than the whole; what is said is a score, nobody is asked to look."""
    damage = DAMAGES["cropped to 50-70 % of each side"]
    scores = [
        pose_of(damage.spoil(phantom(seed % 6), np.random.default_rng(seed))).cropped
        - pose_of(phantom(seed % 6)).cropped
        for seed in range(24)
    ]

    assert np.mean(np.array(scores) > 0) >= 0.9


def test_a_film_without_a_picture_is_grave() -> None:
    """Flat grey, and a film of a thumbnail's size."""
    flat = quality_of(np.full((SIDE, SIDE), 90, np.uint8), (SIDE, SIDE))
    tiny = quality_of(shrunk(phantom(0), 32), (32, 2000))

    assert (flat.flags, flat.grave) == ((ReviewReason.LOW_CONTRAST,), True)
    assert (tiny.flags, tiny.grave) == ((ReviewReason.TOO_SMALL,), True)


def test_a_grave_film_is_refused_with_its_code(dx: Build) -> None:
    """The result says quality, and which check."""
    with pytest.raises(NotEvaluable) as refused:
        prepare(dx(np.full((300, 300), 1000, np.uint16), bits=12, WindowCenter=2048, WindowWidth=4096), SPEC)

    assert (refused.value.reason, refused.value.doubts) == (Reason.QUALITY, (ReviewReason.LOW_CONTRAST,))


def test_a_turned_film_is_evaluated_and_flagged(dx: Build) -> None:
    """Flags and scores come with the prepared image."""
    prepared = prepare(dx(turned(phantom(1), 1)), SPEC)

    assert ReviewReason.ROTATED in prepared.flags
    assert prepared.quality["rotated"] > limits().rotated_at_most
    assert prepared.quality["short_side"] == 1.0


@settings(deadline=None)
@given(quarters=st.integers(1, 3), seed=st.integers(0, 5))
def test_turning_back_takes_the_flag_away(quarters: int, seed: int) -> None:
    """What is turned is found in each direction, and nothing is left of it when it is turned back."""
    askew = turned(phantom(seed), quarters)

    assert pose_of(askew).rotated > 0 > pose_of(turned(askew, 4 - quarters)).rotated


def test_exposure_alone_says_nothing_of_the_pose() -> None:
    """A film at half its contrast lies as it lay."""
    assert pose_of(stretched(phantom(2), 0.5, 60)).rotated < 0


def test_each_limit_is_a_limit() -> None:
    """Just inside nothing is flagged, just outside exactly one thing is: for every check."""
    at = replace(limits(), cropped_at_most=1.0)
    inside = {
        "dark_level": at.dark_at_most,
        "bright_level": at.bright_at_least,
        "spread": at.spread_at_least,
        "clipped_share": at.clipped_at_most,
        "rotated": at.rotated_at_most,
        "cropped": 1.0,
        "short_side": at.side_at_least,
    }
    worse = {
        "dark_level": (+1, ReviewReason.TOO_BRIGHT),
        "bright_level": (-1, ReviewReason.TOO_DARK),
        "spread": (-0.1, ReviewReason.LOW_CONTRAST),
        "clipped_share": (+0.01, ReviewReason.CLIPPED),
        "rotated": (+0.1, ReviewReason.ROTATED),
        "cropped": (+0.1, ReviewReason.CROPPED),
        "short_side": (-0.01, ReviewReason.TOO_SMALL),
    }

    assert judge(inside, at).flags == ()
    assert judge({**inside, "cropped": 99.0}, replace(at, cropped_at_most=None)).flags == ()
    for name, (step, flag) in worse.items():
        assert judge({**inside, name: inside[name] + step}, at).flags == (flag,)
    assert judge({**inside, "spread": at.grave_spread}, replace(at, spread_at_least=0)).grave is False


def test_levels_agree_with_numpy() -> None:
    """The middle's percentiles and clipped share, from counts as from every pixel."""
    grey = np.random.default_rng(4).integers(0, LEVELS, (90, 70), np.uint8)
    middle = grey[22:68, 17:53]

    found = scores_of(grey, (90, 70))

    assert found["dark_level"] == np.percentile(middle, 5, method="inverted_cdf")
    assert found["bright_level"] == np.percentile(middle, 95, method="inverted_cdf")
    assert found["clipped_share"] == pytest.approx(np.isin(middle, (0, 255)).mean(), abs=1e-6)


def test_log_odds_are_those_of_the_softmax() -> None:
    """Against the sum of probabilities of turned and straight kinds."""
    scores = np.array([0.3, 1.2, -0.5, 0.1, -1.0])
    shares = np.exp(scores) / np.exp(scores).sum()

    found = log_odds(scores)

    turned_share = shares[1:4].sum()
    assert found.rotated == pytest.approx(np.log(turned_share / (1 - turned_share)), abs=1e-4)
    assert found == Pose(found.rotated, pytest.approx(np.log(shares[4] / shares[0]), abs=1e-4))


def test_a_judgement_is_cheap() -> None:
    """Well under a millisecond of this thread's CPU, the best of many: about 1 % of a forward pass."""
    film = phantom(0)
    quality_of(film, (SIDE, SIDE))

    def once() -> float:
        begun = time.thread_time()
        quality_of(film, (SIDE, SIDE))
        return time.thread_time() - begun

    assert min(once() for _ in range(50)) < 0.001
