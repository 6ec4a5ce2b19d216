"""Denoisers that tell their variance, and solvers that ask for it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.process.denoiser import Denoiser, from_network
from diffusion_jax.process.level import Level
from diffusion_jax.process.posterior import posterior
from diffusion_jax.process.predictions import X0
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.checks import check_variance
from diffusion_jax.sampling.grids import UniformGrid
from diffusion_jax.sampling.loop import prior, sample_from, sample_keys
from diffusion_jax.sampling.solvers import solvers
from diffusion_jax.sampling.solvers.ancestral import Ancestral, MeanShift
from diffusion_jax.sampling.thresholds import Clip, thresholded
from diffusion_jax.struct import pytree
from diffusion_jax.verification.oracles import Gaussian

DATA = Gaussian(mean=jnp.array([0.3, -0.5]), std=jnp.array([0.5, 1.5]))
NODES = UniformGrid()(schedules.make("cosine"), 4)
KEYS = sample_keys(jax.random.key(0), 20_000)
LEARNED = solvers.make("ancestral(variance=learned)")


def exact(x: jax.Array, level: Level, condition: object = None) -> tuple[jax.Array, jax.Array]:
    """E[x_0 | x], and the exact log-variance of the step that the grid takes from `level`."""
    index = jnp.argmin(jnp.abs(NODES.level.sigma - level.sigma))
    step = posterior(level, NODES[index + 1].level)
    of_x0 = DATA.std**2 * level.sigma**2 / ((level.alpha * DATA.std) ** 2 + level.sigma**2)
    variance = jnp.exp(step.log_small) + step.of_x0**2 * of_x0
    return DATA.denoise(x, level), jnp.broadcast_to(jnp.log(variance), x.shape)


def test_the_exact_variance_makes_every_step_exact_for_normal_data() -> None:
    start = prior(NODES, KEYS, (2,))
    states = sample_from(
        Denoiser.with_variance("learned", exact), LEARNED, NODES, start, KEYS, save=lambda s: s.x
    )[1]
    alpha, sigma = NODES.level.alpha[:, None], NODES.level.sigma[:, None]
    spread = jnp.sqrt((alpha * DATA.std) ** 2 + sigma**2)
    # The last step returns the mean, and so draws nothing.
    for i in range(3):
        np.testing.assert_allclose(states[i].std(axis=0), spread[i + 1], rtol=0.03)
    small = sample_from(DATA.denoise, Ancestral(), NODES, start, KEYS, save=lambda s: s.x)[1]
    assert abs(float(small[2].std(axis=0)[1] / spread[3][1]) - 1) > 0.05


def test_in_range_the_ends_are_the_fixed_variances() -> None:
    start = prior(NODES, KEYS[:8], (2,))
    for end, kind in ((-1.0, "small"), (1.0, "large")):
        told = Denoiser.with_variance(
            "learned_range",
            lambda x, level, condition, end=end: (DATA.denoise(x, level), jnp.full_like(x, end)),
        )
        found, _ = sample_from(told, LEARNED, NODES, start, KEYS[:8])
        fixed, _ = sample_from(DATA.denoise, Ancestral(kind), NODES, start, KEYS[:8])
        np.testing.assert_allclose(found, fixed, rtol=1e-5, atol=1e-5)


def test_a_network_tells_its_variance_in_the_second_half_of_its_channels() -> None:
    def network(x: jax.Array, label: jax.Array, condition: object) -> jax.Array:
        return jnp.concatenate([x, 0 * x + 0.25], axis=-1)

    level = Level(jnp.array(0.6), jnp.array(0.8))
    denoise = from_network(network, X0(), 0.5, "learned_range")
    assert denoise.variance == "learned_range"
    x0, told = denoise.with_moments(jnp.ones((3, 2)), level)
    assert (told == 0.25).all()
    assert (denoise(jnp.ones((3, 2)), level, None) == x0).all()
    # What is made of it tells the same.
    steered = thresholded(denoise, Clip(0.1))
    assert (steered.with_moments(jnp.ones((3, 2)), level)[1] == 0.25).all()
    assert float(steered(jnp.ones((3, 2)), level, None).max()) == pytest.approx(0.1)


def test_what_tells_no_variance_is_refused() -> None:
    with pytest.raises(UserError, match="does not tell a variance"):
        sample_from(DATA.denoise, LEARNED, NODES, jnp.ones((1, 2)), KEYS[:1])
    with pytest.raises(UserError, match="hybrid"):
        check_variance(LEARNED, None)
    check_variance(LEARNED, "learned_range")
    check_variance(Ancestral(), None)


@pytree
class Pull:
    """The gradient of log N(x; target, 1)."""

    target: float

    def __call__(self, x: jax.Array, level: Level) -> jax.Array:
        return self.target - x


def test_a_classifier_shifts_the_mean_by_the_variance_times_its_gradient() -> None:
    here, there = NODES[1], NODES[2]
    x = jnp.array([[0.4, -1.0]])
    state, noise = Ancestral().init(x, NODES), lambda k: jnp.ones_like(x)
    plain = Ancestral().step(state, here, there, DATA.denoise, noise)
    moved = MeanShift(Pull(2.0), scale=3.0).step(state, here, there, DATA.denoise, noise)
    variance = jnp.exp(posterior(here.level, there.level).log_small)
    np.testing.assert_allclose(moved.x - plain.x, 3 * variance * (2 - x), rtol=1e-5)
