"""Oracles against recorded values, Monte Carlo, and one another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.process.level import Level
from diffusion_jax.verification.oracles import Empirical, Gaussian, GaussianMixture
from tests.golden.load import Case, case

pytestmark = pytest.mark.usefixtures("x64")


def mixture() -> tuple[GaussianMixture, Case]:
    recorded = case("problems", "gmm2", "check")
    constants = (jnp.asarray(recorded[name]) for name in ("weights", "means", "stds"))
    return GaussianMixture(*constants), recorded


def level_of(recorded: Case) -> Level:
    return Level(jnp.asarray(recorded["alpha"]), jnp.asarray(recorded["sigma"]))


def test_mixture_has_the_recorded_posterior_mean() -> None:
    data, recorded = mixture()
    x, level = jnp.asarray(recorded["x"]), level_of(recorded)
    np.testing.assert_allclose(data.denoise(x, level), recorded["denoised"], rtol=1e-9, atol=1e-12)
    whole = data.denoise(x, level, jnp.full(60, -1))
    np.testing.assert_allclose(whole, recorded["denoised"], rtol=1e-9, atol=1e-12)
    for k in range(3):
        component = data.denoise(x, level, jnp.full(60, k))
        np.testing.assert_allclose(component, recorded["denoised_k"][:, k], rtol=1e-9, atol=1e-12)
    mixed = data.denoise(x, level, jnp.arange(60) % 3)
    rows = np.arange(60)
    np.testing.assert_allclose(mixed, recorded["denoised_k"][rows, rows % 3], atol=1e-9)


def test_mixture_denoises_each_sample_at_its_level_even_if_batch_equals_dim() -> None:
    data, recorded = mixture()
    some = slice(10, 12)
    level = Level(jnp.asarray(recorded["alpha"][some]), jnp.asarray(recorded["sigma"][some]))
    found = data.denoise(jnp.asarray(recorded["x"][some]), level)
    np.testing.assert_allclose(found, recorded["denoised"][some], rtol=1e-9)


def test_mixture_draws_its_own_moments() -> None:
    data, recorded = mixture()
    samples = np.asarray(data.sample(jax.random.key(0), 200_000))
    np.testing.assert_allclose(samples.mean(axis=0), recorded["data_mean"], atol=0.01)
    np.testing.assert_allclose(np.cov(samples.T), recorded["data_cov"], atol=0.01)


def rotated() -> tuple[Gaussian, np.ndarray, Case]:
    """The recorded Gaussian has a full covariance; in its eigenvectors the dimensions part."""
    recorded = case("problems", "gauss16", "check")
    q = recorded["Q"]
    data = Gaussian(jnp.asarray(q.T @ recorded["m"]), jnp.asarray(np.sqrt(recorded["lam"])))
    return data, q, recorded


def test_gaussian_has_the_recorded_posterior_mean() -> None:
    data, q, recorded = rotated()
    denoised = data.denoise(jnp.asarray(recorded["x"] @ q), level_of(recorded)) @ q.T
    np.testing.assert_allclose(denoised, recorded["denoised"], rtol=1e-8, atol=1e-10)


def test_gaussian_has_the_recorded_flow() -> None:
    data, q, recorded = rotated()
    start = Level(jnp.asarray(1.0), jnp.asarray(80.0))
    end = Level(jnp.asarray(1.0), jnp.asarray(0.0))
    moved = data.flow(jnp.asarray(recorded["flow_from"] @ q), start, end) @ q.T
    np.testing.assert_allclose(moved, recorded["flow_to"], rtol=1e-9, atol=1e-10)


def test_gaussian_flow_takes_a_level_per_sample_even_if_batch_equals_dim() -> None:
    data = Gaussian(jnp.array([0.0, 1.0]), jnp.array([1.0, 2.0]))
    x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    start = Level(jnp.array([1.0, 0.5]), jnp.array([2.0, 1.0]))
    end = Level(jnp.array([1.0, 1.0]), jnp.array([0.1, 0.0]))
    whole = data.flow(x, start, end)
    for i in range(2):
        one = (jax.tree.map(lambda values, i=i: values[i], level) for level in (start, end))
        np.testing.assert_allclose(whole[i : i + 1], data.flow(x[i : i + 1], *one))


def test_gaussian_posterior_mean_by_monte_carlo() -> None:
    # E[x_0 | x near 0.9] from pairs (x_0, x), without any formula for it.
    data = Gaussian(jnp.array([0.4]), jnp.array([0.8]))
    level = Level(jnp.asarray(0.6), jnp.asarray(0.7))
    x0 = np.asarray(data.sample(jax.random.key(1), 2_000_000))[:, 0]
    x = 0.6 * x0 + 0.7 * np.random.default_rng(0).normal(size=x0.shape)
    near = np.abs(x - 0.9) < 0.02
    expected = float(data.denoise(jnp.array([[0.9]]), level)[0, 0])
    assert x0[near].mean() == pytest.approx(expected, abs=5 * 0.5 / np.sqrt(near.sum()))


def test_empirical_is_bayes_rule_over_its_points() -> None:
    rng = np.random.default_rng(2)
    points, x = rng.normal(size=(7, 2, 3)), rng.normal(size=(4, 2, 3))
    alpha, sigma = np.array([0.9, 0.6, 0.3, 1.0]), np.array([0.2, 0.8, 0.95, 5.0])
    expected = np.zeros_like(x)
    for i in range(4):
        likelihood = [
            np.exp(-np.sum((x[i] - alpha[i] * p) ** 2) / (2 * sigma[i] ** 2)) for p in points
        ]
        expected[i] = np.tensordot(likelihood, points, 1) / sum(likelihood)
    level = Level(jnp.asarray(alpha), jnp.asarray(sigma))
    found = Empirical(jnp.asarray(points)).denoise(jnp.asarray(x), level)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_gaussian_of_one_point_is_that_point() -> None:
    data = Gaussian(jnp.array([0.3, -0.2]), jnp.zeros(2))
    level = Level(jnp.asarray(0.5), jnp.asarray(0.5))
    np.testing.assert_allclose(data.denoise(jnp.ones((3, 2)), level), [[0.3, -0.2]] * 3)
