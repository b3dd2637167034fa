"""The quality checks are fitted to good films, and say what they cost and find."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from consumers.imaging.pose import KINDS, SIDE, fitted
from consumers.imaging.preprocess import InputSpec, resize
from consumers.imaging.quality import limits
from radstream.phantoms.anatomy import chest
from schemas.errors import WrongCall
from training.damage import DAMAGES, stretched
from training.quality import SIDES, document_of, read_sites, shipped
from training.splits import Part

SPEC = InputSpec(224, 224, (0.5,) * 3, (0.5,) * 3)
FILMS = {Part.TRAIN: 24, Part.VALIDATION: 10, Part.TEST: 8}


@cache
def films(site: int, part: Part) -> NDArray[np.uint8]:
    """Draw a site's part; the second site's films have less contrast."""
    first = 1000 * site + 100 * list(Part).index(part)
    drawn = [chest(np.random.default_rng(first + n), opacities=n % 2 == 1) for n in range(FILMS[part])]
    whole = [resize(np.rint(60 + 130 * one).astype(np.uint8), SPEC) for one in drawn]
    return np.stack([stretched(film, 1 - 0.3 * site, 128) for film in whole])


@pytest.fixture(scope="module")
def document() -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Fit to two sites of phantoms."""
    made: dict[str, dict[str, dict[str, dict[str, float]]]] = document_of(
        {f"site{site}": {part: films(site, part) for part in Part} for site in range(2)}
    )
    return made


def test_damage_is_found_at_few_false_alarms(document: dict[str, dict[str, dict[str, dict[str, float]]]]) -> None:
    """On films of the test part, which nothing was fitted to; each damage is measured at each site."""
    for site in ("site0", "site1"):
        found = document["measured_on_test"][site]
        assert found["found"].keys() == DAMAGES.keys()
        assert min(found["found"][f"turned {degrees}"] for degrees in (90, 180, 270)) == 1
        assert found["found"]["shrunk to 64 pixels"] == 1
        assert found["false_alarms"]["rotated"] == 0


def test_a_site_is_judged_by_weights_that_never_saw_it(
    document: dict[str, dict[str, dict[str, dict[str, float]]]],
) -> None:
    """And by limits that never saw it: the same measures, at both sites."""
    found = document["measured_on_a_site_it_never_saw"]

    assert found.keys() == {"site0", "site1"}
    assert all(one["found"].keys() == DAMAGES.keys() for one in found.values())
    assert found["site0"]["found"]["turned 180"] > 0.9


@pytest.mark.parametrize(("alarms", "limit"), [(0.05, 1.5), (0.0501, None)])
def test_a_film_that_looks_cut_asks_only_where_few_whole_ones_would(alarms: float, limit: float | None) -> None:
    """Each site that was left out must have few."""
    elsewhere = {"near": {"false_alarms": {"cropped": 0.0}}, "far": {"false_alarms": {"cropped": alarms}}}

    assert shipped(replace(limits(), cropped_at_most=1.5), elsewhere).cropped_at_most == limit


def test_a_site_alone_has_every_limit() -> None:
    """Nobody is strange to a hospital that fits the checks to its own films."""
    own = document_of({"site1": {part: films(1, part) for part in Part}})

    assert own["limits"]["cropped_at_most"] == own["cropped_measured_above"]
    assert own["measured_on_a_site_it_never_saw"] == {}


def test_the_document_has_the_form_that_serving_reads(
    document: dict[str, dict[str, dict[str, dict[str, float]]]],
) -> None:
    """The same keys, the same shapes as the file that ships."""
    now = fitted()

    assert document.keys() == now.keys()
    assert document["limits"].keys() == now["limits"].keys()
    assert np.shape(document["pose"]["weights"]) == np.shape(now["pose"]["weights"]) == (len(KINDS), SIDE**2)


def test_the_limits_that_ship_are_the_ones_that_the_docs_name() -> None:
    """Sides as they were measured, no turned film below even odds; a film that looks cut asks nobody."""
    at = limits()

    assert (at.side_at_least, at.grave_side) == tuple(round(side, 4) for side in SIDES)
    assert at.rotated_at_most >= 0
    assert at.cropped_at_most is None
    assert fitted()["cropped_measured_above"] >= 0
    assert at.grave_spread < at.spread_at_least


def test_no_site_is_one_clear_line() -> None:
    """The option is named."""
    with pytest.raises(WrongCall, match="--site"):
        read_sites([], ["NORMAL", "PNEUMONIA"])
