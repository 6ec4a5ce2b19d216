"""Solvers that draw noise, by the exact mean and variance of what they return.

On normal data every step is affine in x and in its draw z, x' = A x + B z + c. Three evaluations
give A, B and c, and with them the exact moments after each step: no sampling error anywhere.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from diffusion_jax.evaluation.exact_levels import between, order_of, stack, thinned, with_clean
from diffusion_jax.oracles import Gaussian
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import Solver, solvers
from tests.members import ONE_SCHEDULE_EACH, SOLVERS

pytestmark = pytest.mark.usefixtures("x64")

# The registered solvers that draw noise, and settings that make others do so.
STOCHASTIC = [spec for spec in SOLVERS if solvers.make(spec).stochastic]
STOCHASTIC += ["ddim(eta=1.0)", "ddim(eta=0.5)", "ancestral(variance=large)"]
CHURN = "edm(churn=20.0)"
MEANS, STDS = np.array([0.7, 0.7, 0.7, 0.0]), np.array([0.0, 0.4, 1.3, 1.0])
POINT, UNIT = 0, 3  # which of these are data at a single point, and standard normal data
STEPS = (40, 80, 160)


@jax.jit
def affine(solver: Solver, nodes: Nodes) -> tuple[Array, Array, Array]:
    """A, B and c of every step of every grid, (grids, steps, dim)."""
    data = Gaussian(jnp.asarray(MEANS), jnp.asarray(STDS))
    # Rows: nothing, a unit of x, a unit of noise.
    x = jnp.array([0.0, 1.0, 0.0])[:, None] * jnp.ones(4)
    z = jnp.array([0.0, 0.0, 1.0])[:, None] * jnp.ones(4)

    def one(nodes: Nodes) -> tuple[Array, Array, Array]:
        def step(index: Array) -> Array:
            state = solver.init(x, nodes)
            return solver.step(state, nodes[index], nodes[index + 1], data.denoise, lambda k: z).x

        moved = jax.lax.map(step, jnp.arange(nodes.time.shape[0] - 1))
        return moved[:, 1] - moved[:, 0], moved[:, 2] - moved[:, 0], moved[:, 0]

    return jax.vmap(one)(nodes)


@functools.cache
def finest() -> list[Nodes]:
    """The grids with the most steps, one for each schedule."""
    return [between(schedules.make(spec), -6.0, 6.0, max(STEPS)) for spec in ONE_SCHEDULE_EACH]


@functools.cache
def moments(spec: str, steps: int) -> tuple[np.ndarray, ...]:
    """Means and variances after each step, and the exact ones: (schedules, steps, dim) each."""
    nodes = stack([with_clean(thinned(grid, max(STEPS) // steps)) for grid in finest()])
    a, b, c = (np.asarray(value) for value in affine(solvers.make(spec), nodes))
    alpha, sigma = (np.asarray(v)[..., None] for v in (nodes.level.alpha, nodes.level.sigma))
    exact_mean, exact_variance = alpha * MEANS, (alpha * STDS) ** 2 + sigma**2
    mean, variance = exact_mean[:, 0], exact_variance[:, 0]
    means, variances = [], []
    for i in range(a.shape[1]):
        mean, variance = a[:, i] * mean + c[:, i], a[:, i] ** 2 * variance + b[:, i] ** 2
        means.append(mean)
        variances.append(variance)
    return (np.stack(means, 1), np.stack(variances, 1), exact_mean[:, 1:], exact_variance[:, 1:])


@pytest.mark.parametrize("spec", [*STOCHASTIC, CHURN])
def test_means_are_exact(spec: str) -> None:
    mean, _, exact, _ = moments(spec, 40)
    np.testing.assert_allclose(mean, exact, atol=1e-10)


@pytest.mark.parametrize("spec", [spec for spec in STOCHASTIC if "large" not in spec])
def test_variance_is_exact_for_a_single_point_at_any_step_count(spec: str) -> None:
    _, variance, _, exact = moments(spec, 40)
    np.testing.assert_allclose(variance[..., POINT], exact[..., POINT], rtol=1e-9, atol=1e-12)


def test_large_variance_is_exact_for_standard_normal_data() -> None:
    _, variance, _, exact = moments("ancestral(variance=large)", 40)
    preserving = [i for i, spec in enumerate(ONE_SCHEDULE_EACH) if is_preserving(spec)]
    assert len(preserving) >= 4
    # The very last step returns the mean, without noise.
    found = variance[preserving, :-1, UNIT]
    np.testing.assert_allclose(found, exact[preserving, :-1, UNIT], rtol=1e-9)


def is_preserving(spec: str) -> bool:
    level = schedules.make(spec).level(jnp.array([0.5]))
    return bool(jnp.abs(level.alpha**2 + level.sigma**2 - 1)[0] < 1e-9)


@pytest.mark.parametrize("spec", [*STOCHASTIC, CHURN])
def test_variance_converges_at_the_stated_order(spec: str) -> None:
    stated = solvers.make(spec).order
    errors = []
    for steps in STEPS:
        _, variance, _, exact = moments(spec, steps)
        # The last step goes to clean data whatever the step count.
        before_last = np.s_[:, -2, 1:3]
        errors.append(np.abs(variance[before_last] / exact[before_last] - 1))
    slopes = order_of(np.stack(errors).reshape(len(STEPS), -1), STEPS)
    assert (np.abs(slopes - stated) < 0.3).all(), np.round(slopes, 2)


def test_without_churn_noise_leaves_no_trace() -> None:
    nodes = stack([with_clean(thinned(grid, 4)) for grid in finest()])
    for spec in ("edm", "ddim", "edm(churn=20, s_tmin=1e6)"):
        _, noise, _ = affine(solvers.make(spec), nodes)
        assert (noise == 0).all()


def test_churn_respects_its_interval_in_sigma() -> None:
    nodes = stack([with_clean(thinned(grid, 4)) for grid in finest()])
    _, noise, _ = affine(solvers.make("edm(churn=20, s_tmin=0.5, s_tmax=2)"), nodes)
    ratio = np.asarray(nodes.level.sigma / nodes.level.alpha)[:, :-1]
    inside = (ratio >= 0.5) & (ratio <= 2)
    np.testing.assert_array_equal((np.asarray(noise) != 0).any(axis=-1), inside)
