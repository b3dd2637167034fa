"""Augmentation changes a film as another exposure would, and never mirrors it."""

import numpy as np

from training.augmentation import Strength, augment

NONE = Strength(0, 0, 0, 0, 0, 0, 0.31, 0)


def test_the_same_seed_gives_the_same_film() -> None:
    """A fit can be repeated."""
    film = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)

    first, second = (augment(film, 48, np.random.default_rng(4), Strength()) for _ in range(2))

    np.testing.assert_array_equal(first, second)
    assert (first.shape, first.dtype) == ((48, 48), np.uint8)


def test_no_strength_changes_next_to_nothing() -> None:
    """Only the rounding of the tables, and a blur that reaches no neighbour."""
    film = np.kron(np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8), np.ones((8, 8), np.uint8))

    changed = augment(film, 64, np.random.default_rng(1), NONE).astype(int)

    assert np.abs(changed - film).mean() < 1


def test_left_stays_left() -> None:
    """A bright left half is never on the right: the heart has a side."""
    film = np.zeros((64, 64), np.uint8)
    film[:, :32] = 200
    random = np.random.default_rng(2)

    films = [augment(film, 64, random, Strength()).astype(float) for _ in range(200)]

    assert all(one[:, :24].mean() > one[:, 40:].mean() + 50 for one in films)
