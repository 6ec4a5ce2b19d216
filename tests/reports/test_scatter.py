"""Vectors as plots."""

import numpy as np

from diffusion_jax.data.arrays import arrays
from diffusion_jax.inference.trajectory import Trajectory
from diffusion_jax.reports.scatter import scatter, window
from diffusion_jax.reports.shown import drawn_film


def test_points_are_where_they_are():
    picture = scatter(np.array([[1.0, 1.0], [-1.0, 0.0]]), side=5)
    dark = np.argwhere(picture.sum(axis=-1) < 600)
    # Rows go down, as the second coordinate goes up.
    assert dark.tolist() == [[0, 4], [2, 0]]


def test_points_that_cannot_be_seen_are_not():
    lost = np.array([[np.nan, 0.0], [9.0, 0.0], [0.0, np.inf]])
    assert (scatter(lost, side=4) == 255).all()
    assert (scatter(np.zeros((3, 1)), side=3)[1, 1] < 100).all()


def test_the_window_reaches_as_far_as_the_data():
    near, far = (arrays(np.linspace(-s, s, 400).reshape(200, 2), held_out=0.9) for s in (0.5, 40))
    assert window(near) == 1.25 and 40 < window(far) < 50
    corner = np.full((1, 2), 39.0)
    assert (scatter(corner, 8) == 255).all() and (scatter(corner, 8, window(far)) < 255).any()


def test_films_of_pictures_stay_and_those_of_vectors_are_plotted():
    pictures = np.zeros((3, 4, 6, 6, 1), np.uint8)
    reel = Trajectory(np.arange(3.0), pictures, pictures)
    assert drawn_film(reel, 1.0) is reel
    points = np.zeros((4, 7, 2), np.float32)
    plots = drawn_film(Trajectory(np.arange(4.0), points, points), 1.0)
    assert plots.noisy.shape == plots.denoised.shape == (4, 1, 96, 96, 3)
