"""Memorisation is seen where there is some, and only there."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from diffusion_jax.errors import UserError
from diffusion_jax.evaluation.neighbours import memorisation, nearest_two


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_distances_are_those_of_a_tree():
    points, train = draw(600, 3), draw(400, 3, seed=1)
    np.testing.assert_allclose(nearest_two(points, train), cKDTree(train).query(points, 2)[0])


def test_small_distances_between_large_vectors_survive():
    train = 1e6 + draw(50, 4)
    np.testing.assert_allclose(nearest_two(train + 1e-3, train)[:, 0], 2e-3, rtol=1e-6)


def test_new_samples_are_as_far_as_held_out_data():
    found = memorisation(draw(1500, 4), draw(1000, 4, seed=1), draw(1500, 4, seed=2))
    assert found.ratio == pytest.approx(1, abs=0.06)
    assert found.closer == pytest.approx(0.5, abs=0.04)
    # Close pairs happen by chance: P(d1 < d2 / 3) = 3^-4 where points are spread evenly.
    assert found.copies == pytest.approx(3.0**-4, abs=0.012)


def test_half_of_the_samples_are_copies():
    train, held_out = draw(1000, 8, seed=1), draw(1000, 8, seed=2)
    samples = np.concatenate([train[:500] + 1e-3, draw(500, 8)])
    found = memorisation(samples, train, held_out)
    assert found.copies == pytest.approx(0.5, abs=0.01)
    assert found.closer == pytest.approx(0.75, abs=0.03)
    assert found.ratio < 0.9


def test_sets_that_are_too_small():
    with pytest.raises(UserError, match="2 training pictures"):
        memorisation(draw(3, 2), draw(1, 2), draw(3, 2))
