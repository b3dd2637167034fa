"""`python -m training quality`: fit the checks of `consumers.imaging.quality` and measure what they cost and find.

1. the pose's weights, on the train parts of all sites, each site and each kind weighing the same; and without each site
2. the limits: exposure, contrast and clipping at the edge of the train parts, pose on the validation parts
3. false alarms on good films of the test parts, and what is found of the same films damaged
4. the same for each site by weights and limits that never saw it: what to expect of a hospital that the data don't know
5. whether a film that looks cut asks for a person: only where step 4 says that few good films would
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped] # ships no types

from consumers.imaging.pose import Pose, log_odds, small
from consumers.imaging.preprocess import InputSpec
from consumers.imaging.quality import Limits, judge, scores_of
from schemas.errors import WrongCall
from schemas.words import ReviewReason
from training.damage import DAMAGES, Damage, Grey, cropped, reframed, side_cut, turned
from training.datasets import read_parts
from training.splits import Part

#: The size at which films are judged here; the scores are nearly the same at any network's.
SPEC = InputSpec(224, 224, (0.5,) * 3, (0.5,) * 3)
#: Share of good training films that an exposure limit may lose, on the site that it fits worst.
EDGE = 0.001
#: Share of good validation films that a pose limit may flag, on the site that it fits worst.
POSE_ALARMS = 0.01
#: Share of good films of a site that neither weights nor limit saw, above which a film that looks cut asks for nobody:
#: how closely a chest is framed differs from site to site.
NEW_SITE_ALARMS = 0.05
#: The kinds (consumers.imaging.pose.KINDS) of what is shown of each film: turned, turned in another frame, upright in a
#: third, a piece of it, a side cut off.
_SHOWN = (0, 1, 2, 3, 0, 1, 2, 3, 0, 4, 4)
#: Inverse strength of the ridge; stronger ones and weaker ones found fewer cut films of a site that was left out.
_RIDGE = 0.0003
#: The shorter side, as a share of the network's: below the first more than 1 % of the shipped model's decisions change,
#: below the second 15 % do (benchmarks/worth.py measures both).
SIDES = (80 / 224, 48 / 224)
#: A picture of less than this share of the flattest good training film's contrast is none.
GRAVE_SHARE = 0.5
SEED = 20_261_121

Films = Mapping[str, Mapping[Part, NDArray[np.uint8]]]


@dataclass(frozen=True, slots=True)
class Weights:
    """The pose's: [5, 256] and [5]."""

    weights: NDArray[np.float64]
    biases: NDArray[np.float64]

    def pose(self, grey: Grey) -> Pose:
        """Judge one film."""
        return log_odds(self.weights @ small(grey) + self.biases)


def read_sites(folders: Sequence[Path], classes: Sequence[str]) -> Films:
    """Read every site's films by part; raises WrongCall."""
    if not folders:
        raise WrongCall("at least one --site is needed: a folder with labels.csv")
    return {
        folder.name: {part: one.images for part, one in read_parts(folder, classes, SPEC).items()} for folder in folders
    }


def fit_pose(films: Sequence[NDArray[np.uint8]], random: np.random.Generator) -> Weights:
    """Fit multinomial logistic regression to films turned, reframed and cut: `films`, the train part of each site."""
    rows: list[NDArray[np.float64]] = []
    kinds: list[int] = []
    weighs: list[float] = []
    for site in films:
        for grey in site:
            other = reframed(grey, random)
            rows += [small(turned(one, quarters)) for one in (grey, other) for quarters in range(4)]
            rows += [small(spoil(grey, random)) for spoil in (reframed, cropped, side_cut)]
            kinds += _SHOWN
            weighs += [1 / len(site)] * len(_SHOWN)
    share = np.array(weighs) * len(weighs) / np.sum(weighs)
    found = LogisticRegression(C=_RIDGE, max_iter=300).fit(np.array(rows), np.array(kinds), sample_weight=share)
    return Weights(np.round(found.coef_, 4), np.round(found.intercept_, 4))


def fit_limits(films: Films, pose: Weights) -> Limits:
    """Put each limit where the site that it fits worst loses no more than it may."""
    train = [[scores_of(grey, grey.shape) for grey in parts[Part.TRAIN]] for parts in films.values()]
    poses = [[pose.pose(grey) for grey in parts[Part.VALIDATION]] for parts in films.values()]

    def edge(name: str, share: float) -> list[float]:
        return [float(np.quantile([one[name] for one in site], share)) for site in train]

    spread = min(edge("spread", EDGE))
    return Limits(
        bright_at_least=round(min(edge("bright_level", EDGE)), 1),
        dark_at_most=round(max(edge("dark_level", 1 - EDGE)), 1),
        spread_at_least=round(spread, 1),
        clipped_at_most=round(max(edge("clipped_share", 1 - EDGE)), 4),
        # Below even odds nothing is flagged, however rare the score is among good films.
        rotated_at_most=max(0.0, *(_alarming([one.rotated for one in site]) for site in poses)),
        cropped_at_most=max(0.0, *(_alarming([one.cropped for one in site]) for site in poses)),
        side_at_least=round(SIDES[0], 4),
        grave_spread=round(GRAVE_SHARE * spread, 1),
        grave_side=round(SIDES[1], 4),
    )


def measured(films: Films, pose: Weights, at: Limits) -> dict[str, Any]:
    """Give, for each site's test part, the share of good films with each flag, and of damaged ones with theirs."""
    found: dict[str, Any] = {}
    for site, parts in films.items():
        good = [_flags(grey, pose, at) for grey in parts[Part.TEST]]
        random = _random()
        caught = {name: _hits(damage, parts[Part.TEST], pose, at, random) for name, damage in DAMAGES.items()}
        alarms = {flag: _share([flag in flags for flags in good]) for flag in {one.flag for one in DAMAGES.values()}}
        found[site] = {
            "films": len(good),
            "false_alarms": {**dict(sorted(alarms.items())), "any": _share([bool(flags) for flags in good])},
            "found": {name: _share(hits) for name, hits in caught.items()},
        }
    return found


def unseen(films: Films) -> dict[str, Any]:
    """Measure each site by weights and limits that never saw it, where there are others."""
    found: dict[str, Any] = {}
    for site, parts in films.items():
        others = {name: other for name, other in films.items() if name != site}
        if others:
            pose = fit_pose([other[Part.TRAIN] for other in others.values()], _random())
            found |= measured({site: parts}, pose, fit_limits(others, pose))
    return found


def shipped(at: Limits, elsewhere: Mapping[str, Any]) -> Limits:
    """Let a film that looks cut ask for nobody where too many good films of a site that was left out look so."""
    asks = all(site["false_alarms"][ReviewReason.CROPPED] <= NEW_SITE_ALARMS for site in elsewhere.values())
    return at if asks else replace(at, cropped_at_most=None)


def document_of(films: Films) -> dict[str, Any]:
    """Fit and measure; returns what quality.json holds. Cropping is measured at its limit, whether it asks or not."""
    pose = fit_pose([parts[Part.TRAIN] for parts in films.values()], _random())
    at, elsewhere = fit_limits(films, pose), unseen(films)
    return {
        "made_by": "python -m training quality",
        "sites": {site: {str(part): len(some) for part, some in parts.items()} for site, parts in films.items()},
        "limits": asdict(shipped(at, elsewhere)),
        "cropped_measured_above": at.cropped_at_most,
        "measured_on_test": measured(films, pose, at),
        "measured_on_a_site_it_never_saw": elsewhere,
        "pose": {"weights": pose.weights.tolist(), "biases": pose.biases.tolist()},
    }


def _random() -> np.random.Generator:
    return np.random.default_rng(SEED)


def _hits(
    damage: Damage, films: NDArray[np.uint8], pose: Weights, at: Limits, random: np.random.Generator
) -> list[bool]:
    return [damage.flag in _flags(damage.spoil(grey, random), pose, at, damage.side) for grey in films]


def _flags(grey: Grey, pose: Weights, at: Limits, side: int | None = None) -> tuple[ReviewReason, ...]:
    sides = grey.shape if side is None else (side, side)
    scores = scores_of(grey, (float(sides[0]), float(sides[1])))
    here = pose.pose(grey)
    return judge({**scores, "rotated": here.rotated, "cropped": here.cropped}, at).flags


def _alarming(scores: Sequence[float]) -> float:
    return round(float(np.quantile(scores, 1 - POSE_ALARMS)), 2)


def _share(hits: Sequence[bool]) -> float:
    return round(float(np.mean(hits)), 4)
