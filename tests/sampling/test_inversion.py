"""Inversion and editing, on data whose flow is exact."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from diffusion_jax.errors import UserError
from diffusion_jax.process.denoiser import Denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.editing import edit, last_part
from diffusion_jax.sampling.grids import Nodes, grids, make
from diffusion_jax.sampling.inversion import invert
from diffusion_jax.sampling.loop import sample_from, sample_keys
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.verification.exact_levels import order_of
from diffusion_jax.verification.oracles import Gaussian
from tests.golden.problems import mixture

pytestmark = pytest.mark.usefixtures("x64")

STEPS = (40, 80, 160)
X0 = np.random.default_rng(0).normal(size=(4, 2))


def gaussian() -> Gaussian:
    return Gaussian(jnp.array([0.5, -0.25]), jnp.array([0.5, 1.3]))


@functools.cache
def nodes(steps: int, schedule: str = "cosine") -> Nodes:
    # So close to data that the step off it is exact to what is measured.
    grid = grids.make("log_snr(sigma_min=1e-4, sigma_max=2.0)")
    return make(grid, schedules.make(schedule), steps).pad(max(STEPS))


@jax.jit
def there_and_back(data: Gaussian, solver: Solver, nodes: Nodes, x0: Array) -> tuple[Array, Array]:
    keys = sample_keys(jax.random.key(0), len(x0))
    x = invert(data.denoise, solver, nodes, x0)
    return x, sample_from(data.denoise, solver, nodes, x, keys)[0]


@pytest.mark.parametrize("schedule", ["cosine", "edm", "rectified_flow"])
@pytest.mark.parametrize("spec", ["ddim", "dpmpp_2m", "edm"])
def test_sampling_returns_to_the_start_at_the_order_of_the_solver(spec: str, schedule: str) -> None:
    solver, errors, x0 = solvers.make(spec), [], jnp.asarray(X0)
    for steps in STEPS:
        _, again = there_and_back(gaussian(), solver, nodes(steps, schedule), x0)
        errors.append(np.abs(again - x0).max())
    # On the way back some of the errors on the way there may cancel.
    assert order_of(errors, STEPS) > solver.order - 0.3
    assert errors[-1] < 0.05


@pytest.mark.parametrize("spec", ["ddim", "dpmpp_2m"])
def test_the_inverse_is_that_of_the_exact_flow(spec: str) -> None:
    solver, errors, ones = solvers.make(spec), [], jnp.ones(())
    for steps in STEPS:
        grid = nodes(steps)
        x, _ = there_and_back(gaussian(), solver, grid, jnp.asarray(X0))
        errors.append(
            np.abs(x - gaussian().flow(jnp.asarray(X0), Level(ones, 0 * ones), grid[0].level)).max()
        )
    assert order_of(errors, STEPS) == pytest.approx(solver.order, abs=0.3)


def test_a_grid_that_ends_on_noise_is_followed_from_there() -> None:
    data = Gaussian(jnp.zeros(2), jnp.ones(2))
    level = schedules.make("cosine").level(jnp.linspace(0.6, 0.3, 200))
    grid = Nodes(level.sigma, level, level)
    x = invert(data.denoise, solvers.make("dpmpp_2m"), grid, jnp.asarray(X0))
    np.testing.assert_allclose(x, X0, atol=1e-4)  # standard normal data stay what they are


def test_solvers_that_draw_noise_have_no_inverse() -> None:
    with pytest.raises(UserError, match="draws noise"):
        invert(mixture().denoise, solvers.make("ancestral"), nodes(40), jnp.asarray(X0))
    with pytest.raises(UserError, match="draws noise"):
        invert(mixture().denoise, solvers.make("ddim(eta=1.0)"), nodes(40), jnp.asarray(X0))
    to_data = Denoiser(lambda x, level, condition, end: 0 * x, denoises=False)
    with pytest.raises(UserError, match="draws noise"):
        invert(to_data, solvers.make("jump"), nodes(40), jnp.asarray(X0))


@functools.partial(jax.jit, static_argnames="count")
def edited(data: Gaussian, nodes: Nodes, x0: Array, count: int) -> Array:
    pictures = jnp.broadcast_to(x0, (count, *x0.shape))
    return edit(data.denoise, solvers.make("dpmpp_2m"), nodes, jax.random.key(3), pictures)


@pytest.mark.parametrize("strength", [0.25, 0.5, 1.0])
def test_edits_of_a_picture_have_the_exact_marginal(strength: float) -> None:
    # Of a fixed x_0, x is N(alpha x_0, sigma²); the exact flow to data is affine.
    data = Gaussian(jnp.array([0.5]), jnp.array([0.7]))
    grid = make(grids.make("karras"), schedules.make("edm"), 64)
    part = last_part(grid, strength)
    assert part.time.shape[0] - 1 == 64 * strength
    x0, count = jnp.array([2.0]), 20000
    found = np.asarray(edited(data, part, x0, count))
    spread = 0.7 / np.hypot(0.7, float(part.level.sigma[0]))
    mean, std = 0.5 + spread * (2.0 - 0.5), spread * float(part.level.sigma[0])
    assert found.mean() == pytest.approx(mean, abs=5 * std / np.sqrt(count) + 2e-3)
    assert found.std() == pytest.approx(std, rel=0.03)


def test_edits_of_data_are_distributed_as_data() -> None:
    data, count = Gaussian(jnp.array([0.5]), jnp.array([0.7])), 20000
    grid = make(grids.make("karras"), schedules.make("edm"), 64)
    key, drawn = jax.random.split(jax.random.key(5))
    x0 = data.sample(drawn, count)
    found = edit(data.denoise, solvers.make("dpmpp_2m"), grid, key, x0, strength=0.4)
    assert float(found.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(found.std()) == pytest.approx(0.7, rel=0.03)


def test_sample_i_is_the_same_in_any_batch() -> None:
    part = last_part(make(grids.make("karras"), schedules.make("edm"), 16), 0.5)
    x0, key = jnp.asarray(X0), jax.random.key(1)
    solver, denoise = solvers.make("ancestral"), mixture().denoise
    whole = edit(denoise, solver, part, key, x0)
    np.testing.assert_allclose(edit(denoise, solver, part, key, x0[:2]), whole[:2], rtol=1e-9)


@pytest.mark.parametrize("strength", [0.0, 0.01, 1.5, float("nan")])
def test_a_strength_that_leaves_nothing_to_do_is_refused(strength: float) -> None:
    with pytest.raises(UserError, match="strength"):
        last_part(make(grids.make("karras"), schedules.make("edm"), 16), strength)
