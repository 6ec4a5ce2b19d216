"""Figures in the plane: drawn from what is said to be their exact distribution."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.data.dataset import datasets
from diffusion_jax.data.example import label_of, take, values_of
from diffusion_jax.errors import UserError
from diffusion_jax.process.level import Level

NAMES = ("ring", "swiss_roll", "two_moons", "eight_gaussians", "checkerboard")
COUNT = 20_000


@pytest.mark.parametrize("name", NAMES)
def test_examples_have_the_characteristic_function_of_the_distribution(name):
    """E[exp(i w x)] = exp(-s^2 |w|^2 / 2) mean_k exp(i w m_k), for many frequencies w."""
    data = datasets.make(name)
    points = values_of(take(data.train, range(COUNT))).astype(np.float64)
    exact = data.distribution
    w = np.random.default_rng(0).normal(scale=8.0, size=(2, 40))
    means, std = np.asarray(exact.means, np.float64), float(exact.stds[0])
    expected = np.exp(-(std**2) * (w**2).sum(axis=0) / 2) * np.exp(1j * means @ w).mean(axis=0)
    found = np.exp(1j * points @ w).mean(axis=0)
    assert np.abs(found - expected).max() < 5 / np.sqrt(COUNT)
    assert 0.4 < points.std() < 0.6
    assert np.abs(points).max() < 1.4


@pytest.mark.parametrize("name", NAMES)
def test_examples_do_not_depend_on_what_is_asked_with_them(name):
    data = datasets.make(f"{name}(count=100, test_count=5)")
    together = values_of(take(data.train, range(100)))
    np.testing.assert_array_equal(together[17], data.train[17]["vector"])
    assert (data.train[0]["vector"] != data.test[0]["vector"]).all()
    with pytest.raises(IndexError):
        data.train[100]


def test_the_density_of_a_ring_is_that_of_its_radius():
    """With a Bessel function where there are ever more points: I_0 of the von Mises density."""
    data = datasets.make("ring(radius=0.6, std=0.1)")
    radii = np.array([0.45, 0.6, 0.72])
    x = jnp.asarray(np.stack([radii, np.zeros(3)], axis=1), jnp.float32)
    found = data.distribution.log_density(x, Level(jnp.array(1.0), jnp.array(0.0)))
    k = radii * 0.6 / 0.01
    expected = -(radii**2 + 0.36) / 0.02 + np.log(np.i0(k)) - np.log(2 * np.pi * 0.01)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_classes_of_moons_and_normals():
    moons = datasets.make("two_moons(std=0.001)")
    for example in take(moons.train, range(50)):
        x, y = example["vector"] / 0.7
        side = 1 if label_of(example) == 0 else -1
        assert abs(np.hypot(side * x + 0.5, side * y + 0.25) - 1) < 0.02
    normals = datasets.make("eight_gaussians(std=0.001)")
    for example in take(normals.train, range(50)):
        angle = np.arctan2(*example["vector"][::-1]) / (np.pi / 4)
        assert round(angle) % 8 == label_of(example)
    assert (moons.num_classes, normals.num_classes) == (2, 8)


def test_settings_that_make_no_sense():
    with pytest.raises(UserError, match="'ring': std=0.0.*positive"):
        datasets.make("ring(std=0.0)")
