"""Solvers for consistency functions: exact with any number of steps, unlike with a denoiser."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from diffusion_jax.process.denoiser import from_network
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import X0
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.consistency_function import (
    consistency_scalings,
    latent_consistency_scalings,
    with_boundary,
)
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import solvers
from diffusion_jax.sampling.solvers.gamma_sampling import GammaSampling
from diffusion_jax.struct import pytree
from diffusion_jax.verification.exact_levels import between, stack, with_clean
from diffusion_jax.verification.moments import exact_moments, moments
from diffusion_jax.verification.oracles import Gaussian
from tests.members import ONE_SCHEDULE_EACH

pytestmark = pytest.mark.usefixtures("x64")

LONGEST, WIDE = 5, (0.0, 0.4, 1.3, 1.0)


@pytree
class FlowMap(Gaussian):
    """Gaussian data with the exact consistency function in place of the denoiser.

    Attributes:
        end: sigma/alpha of where it takes x.
    """

    end: float = 0.0

    def denoise(self, x: Array, level: Level, condition: Any = None) -> Array:
        return self.flow(x, level, Level(jnp.ones(()), jnp.asarray(self.end)))


def data(kind: type = Gaussian, **settings: float) -> Any:
    return kind(jnp.full(4, 0.7), jnp.asarray(WIDE), **settings)


@functools.cache
def nodes(steps: int) -> Nodes:
    """Every schedule from log-SNR -6 to 6 in few steps, then clean data."""
    found = [between(schedules.make(spec), -6.0, 6.0, steps) for spec in ONE_SCHEDULE_EACH]
    return stack([with_clean(grid, LONGEST - steps + 1) for grid in found])


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_with_a_consistency_function_every_state_has_the_exact_marginal(steps: int) -> None:
    grid = nodes(steps)
    exact_mean, exact_variance = exact_moments(data(), grid)
    mean, variance = moments(solvers.make("consistency"), data(FlowMap), grid)
    np.testing.assert_allclose(mean, exact_mean, rtol=1e-9)
    np.testing.assert_allclose(variance, exact_variance, rtol=1e-9)


def test_one_that_ends_on_a_little_noise_needs_that_much_less() -> None:
    solver, grid = solvers.make("consistency(sigma_min=0.01)"), nodes(5)
    mean, variance = moments(solver, data(FlowMap, end=0.01), grid)
    exact_mean, exact_variance = exact_moments(data(), grid)
    np.testing.assert_allclose(mean[:, :-1], exact_mean[:, :-1], rtol=1e-9)
    np.testing.assert_allclose(variance[:, :-1], exact_variance[:, :-1], rtol=1e-9)
    # The last state is where the consistency function ends.
    wanted = np.broadcast_to(np.square(WIDE) + 1e-4, variance[:, -1].shape)
    np.testing.assert_allclose(variance[:, -1], wanted, rtol=1e-9)


@pytest.mark.parametrize("spec", ["consistency", "gamma_sampling"])
def test_with_a_denoiser_variance_is_lost(spec: str) -> None:
    variance = moments(solvers.make(spec), data(), nodes(5))[1]
    exact = exact_moments(data(), nodes(5))[1]
    assert (variance[:, 4, 1:] < 0.9 * exact[:, 4, 1:]).all()
    np.testing.assert_allclose(variance[:, 4, 0], exact[:, 4, 0], rtol=1e-9)  # a single point


@pytest.mark.parametrize(
    ("spec", "same"),
    [("gamma_sampling(gamma=0)", "ddim"), ("gamma_sampling(gamma=1)", "consistency")],
)
def test_gamma_goes_from_ddim_to_consistency(spec: str, same: str) -> None:
    found = moments(solvers.make(spec), data(), nodes(5))
    wanted = moments(solvers.make(same), data(), nodes(5))
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_gamma_of_a_clock_is_a_part_of_its_time() -> None:
    clock = schedules.make("rectified_flow(shift=2.0)")
    level = clock.level(jnp.array([0.8, 0.5]))
    grid = Nodes(jnp.array([0.8, 0.5]), level, level)
    x, kicked = jnp.ones((1, 1)), lambda k: jnp.ones((1, 1))
    low, high = (float(clock.level(jnp.array(t)).noise_to_signal) for t in (0.7 * 0.5, 0.5))
    solver = GammaSampling(0.3, clock)
    found = [
        solver.step(solver.init(x, grid), grid[0], grid[1], lambda x, level: 0 * x, noise).x
        for noise in (lambda k: jnp.zeros((1, 1)), kicked)
    ]
    fresh = float((found[1] - found[0])[0, 0] / level.alpha[1])
    assert fresh == pytest.approx(np.sqrt(high**2 - low**2), rel=1e-10)
    assert float(found[0][0, 0] / level.alpha[1]) == pytest.approx(low / float(level.sigma[0]))


@pytest.mark.parametrize("spec", ["edm", "cosine", "rectified_flow"])
def test_no_network_changes_data_at_the_boundary(spec: str) -> None:
    schedule = schedules.make(spec)
    level = schedule.level(schedule.time(-2 * jnp.log(jnp.array([0.01]))))
    bounded = with_boundary(lambda x, level, condition: 1e3 * x, consistency_scalings(0.5, 0.01))
    x = jnp.array([[0.3, -0.2]])
    np.testing.assert_allclose(bounded(x, level, None), x / level.alpha, rtol=1e-10)


def test_a_network_is_told_the_level_of_a_batch_of_pictures() -> None:
    network = lambda x, c_noise, condition: 0 * x * c_noise[:, None, None, None]  # noqa: E731
    silent = from_network(network, X0(), sigma_data=0.5)
    x, level = jnp.ones((3, 2, 2, 1)), Level(jnp.array(1.0), jnp.array(0.5))
    c_skip = 0.25 / (0.498**2 + 0.25)  # sigma_data² / ((r - sigma_min)² + sigma_data²)
    found = with_boundary(silent, consistency_scalings())(x, level)
    np.testing.assert_allclose(found, c_skip * x, rtol=1e-6)


def test_the_first_label_is_lcms_boundary() -> None:
    table = schedules.make("ddpm_linear")
    c_skip, c_out = latent_consistency_scalings(table)(table.level(jnp.array([0.001, 0.002])))
    np.testing.assert_allclose(c_skip, [1, 0.25 / 100.25], rtol=1e-8)
    np.testing.assert_allclose(c_out, [0, 10 / np.sqrt(100.25)], atol=1e-8)
