"""Nearest neighbours are those of a tree, to the last digits, and repeated pictures are one."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from diffusion_jax.metrics import neighbours
from diffusion_jax.metrics.neighbours import all_alike, nearest, nearest_other


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def chunks(features, pictures=None, size=170):
    """Of different pictures, unless others are given."""
    if pictures is None:
        count = np.arange(len(features))
        pictures = np.stack([10 * (count // 16), 15 * (count % 16)], axis=1)
        pictures = pictures.astype(np.uint8).reshape(-1, 1, 2, 1)
    return [
        (features[start : start + size], pictures[start : start + size])
        for start in range(0, len(features), size)
    ]


def test_distances_are_those_of_a_tree():
    points, train = draw(600, 3), draw(400, 3, seed=1)
    first = nearest(points, chunks(train))
    other = nearest_other(points, first, chunks(train))
    expected, index = cKDTree(train).query(points, 2)
    np.testing.assert_allclose(np.stack([first.distance, other], axis=1), expected)
    pictures = np.concatenate([each for _, each in chunks(train)])
    np.testing.assert_array_equal(first.pictures, pictures[index[:, 0]])


def test_small_distances_between_large_vectors_survive():
    train = 1e6 + draw(50, 4)
    np.testing.assert_allclose(nearest(train + 1e-3, chunks(train)).distance, 2e-3, rtol=1e-6)


@pytest.mark.parametrize("off", [0, 2])
def test_a_picture_that_comes_again_is_no_other(off):
    """Exactly, or as saved again with losses: the second nearest is the nearest of the rest."""
    rng = np.random.default_rng(0)
    once = rng.integers(20, 230, (30, 4, 4, 3)).astype(np.uint8)
    noise = rng.integers(-off, off + 1, (5, *once.shape))
    often = (once + noise).astype(np.uint8).reshape(-1, 4, 4, 3)
    points = draw(8, 48) + often[:8].reshape(8, -1)
    train = chunks(often.reshape(len(often), -1).astype(float), often, size=40)
    first = nearest(points, train)
    distances = np.linalg.norm(points[:, None] - often.reshape(1, len(often), -1), axis=2)
    np.testing.assert_allclose(first.distance, distances.min(axis=1))
    same = np.arange(len(often)) % 30 == distances.argmin(axis=1)[:, None] % 30
    expected = np.where(same, np.inf, distances).min(axis=1)
    np.testing.assert_allclose(nearest_other(points, first, train), expected)


def test_what_is_alike_differs_by_no_more_than_it_says():
    grey = np.full((1, 8, 8, 3), 100, np.uint8)
    near, far = grey + np.uint8(neighbours.ALIKE), grey + np.uint8(neighbours.ALIKE + 1)
    assert all_alike([grey, near]) and not all_alike([grey, near, far])
    alone = nearest(np.zeros((2, 1)), [(np.ones((2, 1)), np.concatenate([grey, near]))])
    assert alone.distance.tolist() == [1, 1]
    assert nearest_other(
        np.zeros((2, 1)), alone, [(np.ones((2, 1)), np.concatenate([grey, near]))]
    ).tolist() == [np.inf, np.inf]
