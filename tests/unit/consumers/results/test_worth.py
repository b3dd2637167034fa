"""How sure, how strange, and why a person should look: numbers against scipy and scikit-learn, rules at their edges."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis
from scipy.stats import entropy
from sklearn.covariance import LedoitWolf

from consumers.results.worth import UNKNOWN_WORTH, Worth, uncertainty
from schemas.errors import ModelRefused
from schemas.words import ReviewReason
from training.doubts import NEAR_SHARE, STATISTICS, Looked, limits_of

THRESHOLD = 0.2
#: Probabilities of 300 validation films, around the threshold.
SCORES = 1 / (1 + np.exp(-np.random.default_rng(5).normal(-1.4, 2, 300)))
FAR = np.full(16, 30.0)


def looked(films: int, seed: int) -> Looked:
    """Make films of noise whose projections are correlated."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (films, 16, 16), np.uint8)
    mixed = random.normal(0, 1, (films, 16)) @ np.random.default_rng(0).normal(0, 1, (16, 16))
    return Looked(images, mixed.astype(np.float32))


@pytest.fixture(scope="module")
def train() -> Looked:
    """Give what a model was made from."""
    return looked(400, 1)


@pytest.fixture(scope="module")
def validation() -> Looked:
    """Give what it was calibrated on."""
    return looked(300, 2)


@pytest.fixture(scope="module")
def worth(train: Looked, validation: Looked) -> Worth:
    """Write the limits as a package does, and read them as serving does."""
    return Worth.from_reference(json.dumps(limits_of(train, validation, SCORES, THRESHOLD)))


@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=6))
def test_uncertainty_is_the_entropy_of_scipy(weights: list[float]) -> None:
    """In units of its largest value, whatever the number of classes."""
    shares = np.array(weights) / np.sum(weights)

    assert uncertainty(shares.tolist()) == pytest.approx(entropy(shares, base=len(shares)), abs=1e-9)


def test_distance_is_mahalanobis_with_a_shrunk_covariance(worth: Worth, train: Looked, validation: Looked) -> None:
    """As scipy computes it with scikit-learn's Ledoit-Wolf precision."""
    fitted = LedoitWolf().fit(train.rows())
    row = validation.rows()[7]
    assert worth.novelty is not None

    found = worth.novelty.distance(row[:16], dict(zip(STATISTICS, row[16:], strict=True)))

    assert found == pytest.approx(mahalanobis(row, fitted.location_, fitted.precision_))


def test_score_is_the_share_of_reference_films_that_lie_nearer(worth: Worth, validation: Looked) -> None:
    """On the films that gave it its scale: their ranks, within a step of the kept quantiles."""
    assert worth.novelty is not None
    rows = validation.rows()
    statistics = [dict(zip(STATISTICS, row[16:], strict=True)) for row in rows]
    distances = [worth.novelty.distance(row[:16], one) for row, one in zip(rows, statistics, strict=True)]

    scores = [worth.novelty.score(row[:16], one) for row, one in zip(rows, statistics, strict=True)]

    ranks = np.argsort(np.argsort(distances)) / (len(rows) - 1)
    np.testing.assert_allclose(scores, ranks, atol=0.006)


def test_an_image_far_off_is_strange_and_a_number_that_is_none_too(worth: Worth, validation: Looked) -> None:
    """The score ends at 1, and the reason is given."""
    assert worth.novelty is not None
    row = validation.rows()[0]
    statistics = dict(zip(STATISTICS, row[16:], strict=True))

    far, broken = (worth.novelty.score(projection, statistics) for projection in (FAR, np.full(16, np.nan)))

    assert (far, broken) == (1.0, 1.0)
    assert worth.doubts(0.999, far) == (ReviewReason.OUT_OF_DISTRIBUTION,)
    assert worth.doubts(0.999, 0.5) == ()


def test_the_band_holds_its_share_of_validation_and_the_threshold(worth: Worth) -> None:
    """A film in twenty is near; just inside is near, just outside is not."""
    assert worth.near_threshold is not None
    low, high = worth.near_threshold
    near = [worth.doubts(float(score), None) == (ReviewReason.NEAR_THRESHOLD,) for score in SCORES]

    assert low < THRESHOLD < high
    assert np.mean(near) == pytest.approx(NEAR_SHARE, abs=1 / len(SCORES))
    assert worth.doubts(high + 1e-9, None) == worth.doubts(low - 1e-9, None) == ()


def test_a_package_that_says_nothing_raises_no_doubt() -> None:
    """References of older packages have histograms alone."""
    assert Worth.from_reference(b'{"features": {}}') == UNKNOWN_WORTH
    assert UNKNOWN_WORTH.doubts(0.5, None) == ()


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"near_threshold": {"low": 0.1}}',
        '{"out_of_distribution": {"statistics": [], "mean": [0, 0], "precision": [[1]], "distances": [0, 1]}}',
    ],
)
def test_a_reference_that_makes_no_sense_is_refused(text: str) -> None:
    """The old model goes on."""
    with pytest.raises(ModelRefused, match="reference"):
        Worth.from_reference(text)


def test_too_few_films_or_no_projection_give_no_distance(train: Looked) -> None:
    """A network that was hardly trained has a projection of no numbers: nothing is said then."""
    broken = Looked(train.images, np.full_like(train.projections, np.nan))

    assert "out_of_distribution" not in limits_of(broken, train, SCORES, THRESHOLD)
