"""Vectors as pictures."""

import numpy as np

from diffusion_jax.reports.scatter import as_film, as_pictures, scatter


def test_points_are_where_they_are():
    picture = scatter(np.array([[1.0, 1.0], [-1.0, 0.0]]), side=5)
    dark = np.argwhere(picture.sum(axis=-1) < 600)
    # Rows go down, as the second coordinate goes up.
    assert dark.tolist() == [[0, 4], [2, 0]]


def test_points_that_cannot_be_seen_are_not():
    lost = np.array([[np.nan, 0.0], [9.0, 0.0], [0.0, np.inf]])
    assert (scatter(lost, side=4) == 255).all()
    assert (scatter(np.zeros((3, 1)), side=3)[1, 1] < 100).all()


def test_pictures_stay_and_vectors_become_one():
    pictures = np.zeros((3, 4, 6, 1), np.uint8)
    assert as_pictures(pictures) is pictures
    assert as_pictures(np.zeros((7, 2), np.float32)).shape == (1, 160, 160, 3)
    assert as_film(np.zeros((4, 7, 2))).shape == (4, 1, 96, 96, 3)
