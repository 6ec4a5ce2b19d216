"""Nearest neighbours are those of a tree, to the last digits."""

import numpy as np
from scipy.spatial import cKDTree

from diffusion_jax.evaluation.neighbours import nearest_two


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_distances_are_those_of_a_tree():
    points, train = draw(600, 3), draw(400, 3, seed=1)
    np.testing.assert_allclose(nearest_two(points, train), cKDTree(train).query(points, 2)[0])


def test_small_distances_between_large_vectors_survive():
    train = 1e6 + draw(50, 4)
    np.testing.assert_allclose(nearest_two(train + 1e-3, train)[:, 0], 2e-3, rtol=1e-6)
