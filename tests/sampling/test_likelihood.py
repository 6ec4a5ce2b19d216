"""Log-densities by the probability flow, against exact ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from scipy.integrate import quad

from diffusion_jax.errors import UserError
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.integrate import Integrator
from diffusion_jax.sampling.likelihood import (
    bits_per_dim,
    dequantize,
    draw_probes,
    ends,
    log_density,
    prior_log_density,
)
from diffusion_jax.sampling.loop import sample_keys
from diffusion_jax.verification.oracles import Gaussian, GaussianMixture
from tests.golden.problems import mixture
from tests.members import ONE_SCHEDULE_EACH

TIGHT = Integrator(rtol=1e-9, atol=1e-9)
NORMAL = ((0.5, -0.3), (0.3, 0.8))


def normal() -> Gaussian:
    return Gaussian(*(jnp.array(values) for values in NORMAL))


@jax.jit
def of_normal(x: Array, start: Level, end: Level, integrator: Integrator, probes: Array | None):  # type: ignore[no-untyped-def]
    return log_density(normal().denoise, x, start, end, probes, integrator=integrator)


@jax.jit
def of_mixture(data: GaussianMixture, x: Array, start: Level, end: Level):  # type: ignore[no-untyped-def]
    return log_density(data.denoise, x, start, end, integrator=TIGHT)


@jax.jit
def exact(data: Gaussian, x: Array, start: Level, end: Level) -> Array:
    """The density that the exact flow and the prior's normal give: the prior is no marginal."""
    latent = data.flow(x, start, end)
    before, after = data.log_density(x, start), data.log_density(latent, end)
    return before - after + prior_log_density(latent, end.sigma)


flow = jax.jit(Gaussian.flow)


def points(count: int = 4) -> Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=(count, 2)))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("spec", ONE_SCHEDULE_EACH)
def test_it_is_exact_over_every_schedule(spec: str) -> None:
    start, end = ends(schedules.make(spec), 0.01)
    x = start.alpha * points()
    found = of_normal(x, start, end, TIGHT, None)
    np.testing.assert_allclose(found.log_density, exact(normal(), x, start, end), atol=1e-6)
    np.testing.assert_allclose(found.latent, flow(normal(), x, start, end), rtol=1e-6)
    assert (np.asarray(found.evaluations) > 20).all()


@pytest.mark.usefixtures("x64")
def test_where_the_prior_is_a_marginal_it_is_the_marginal_density() -> None:
    start, end = ends(schedules.make("rectified_flow"), 0.01)  # ends without any signal
    x = start.alpha * points()
    found = of_mixture(mixture(), x, start, end).log_density
    np.testing.assert_allclose(found, mixture().log_density(x, start), atol=1e-6)


def test_in_float32_too() -> None:
    start, end = ends(schedules.make("rectified_flow"), 0.01)
    x = jnp.asarray(points(), jnp.float32)
    loose = Integrator(rtol=1e-4, atol=1e-4)
    found = of_normal(x, start, end, loose, None).log_density
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, normal().log_density(x, start), rtol=2e-3, atol=2e-3)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
def test_estimates_by_probes_are_unbiased_and_more_probes_are_better(kind: str) -> None:
    start, end = ends(schedules.make("rectified_flow"), 0.05)
    x = jnp.broadcast_to(points(1), (512, 2))
    data = mixture()

    @jax.jit
    def estimates(probes: Array) -> Array:
        integrator = Integrator(rtol=1e-4, atol=1e-4)
        return log_density(data.denoise, x, start, end, probes, integrator=integrator).log_density

    one, four = (
        np.asarray(estimates(draw_probes(sample_keys(jax.random.key(1), 512), kind, n, (2,))))
        for n in (1, 4)
    )
    true = float(data.log_density(x[:1], start)[0])
    for found, count in ((one, 1), (four, 4)):
        assert abs(found.mean() - true) < 4 * found.std() / np.sqrt(512) + 1e-3, count
    assert one.std() / four.std() == pytest.approx(2, rel=0.25)


@pytest.mark.usefixtures("x64")
def test_a_sample_does_not_depend_on_the_others() -> None:
    start, end = ends(schedules.make("cosine"), 0.01)
    x = jnp.concatenate([points(2), 100 * points(2)])
    whole = of_normal(x, start, end, TIGHT, None)
    alone = of_normal(x[:2], start, end, TIGHT, None)
    np.testing.assert_allclose(whole.log_density[:2], alone.log_density, rtol=1e-12)
    np.testing.assert_array_equal(whole.evaluations[:2], alone.evaluations)


@pytest.mark.usefixtures("x64")
def test_conditions_belong_to_the_whole_batch() -> None:
    data, which = mixture(), jnp.array([0, 1, 2, 2])
    start, end = ends(schedules.make("rectified_flow"), 0.01)
    x = points()
    found = log_density(data.denoise, x, start, end, condition=which, integrator=TIGHT).log_density
    for i, k in enumerate(which):
        alone = Gaussian(data.means[k], jnp.full(2, data.stds[k]))
        np.testing.assert_allclose(found[i], alone.log_density(x[i : i + 1], start)[0], atol=1e-6)


@pytest.mark.usefixtures("x64")
def test_a_sample_that_needs_too_many_steps_is_no_number() -> None:
    start, end = ends(schedules.make("cosine"), 0.01)
    found = of_normal(points(), start, end, Integrator(rtol=1e-9, atol=1e-9, max_steps=4), None)
    assert np.isnan(found.log_density).all()


def test_a_clean_level_is_refused() -> None:
    clean, end = Level(jnp.array(1.0), jnp.array(0.0)), Level(jnp.array(0.0), jnp.array(1.0))
    with pytest.raises(UserError, match="sigma is 0"):
        log_density(normal().denoise, jnp.zeros((1, 2)), clean, end)


@pytest.mark.usefixtures("x64")
def test_the_oracles_densities_are_densities() -> None:
    level = Level(jnp.array(0.8), jnp.array(0.3))
    means = jnp.array([[-1.0], [0.5]])
    line = GaussianMixture(jnp.array([0.3, 0.7]), means, jnp.array([0.2, 0.4]))
    for data in (line, Gaussian(jnp.array([0.5]), jnp.array([0.3]))):
        density = jax.jit(data.log_density)
        total, _ = quad(
            lambda x, f=density: float(jnp.exp(f(jnp.full((1, 1), x), level)[0])), -6, 6
        )
        assert total == pytest.approx(1)
        # Tweedie: sigma² grad log p = alpha E[x_0|x] - x.
        x = jnp.array([[0.7]])
        slope = jax.grad(lambda x, data=data: data.log_density(x, level)[0])(x)
        expected = level.alpha * data.denoise(x, level) - x
        np.testing.assert_allclose(level.sigma**2 * slope, expected, atol=1e-12)


def test_bits_per_dim_of_bytes_that_are_equally_likely_are_eight() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3)).astype(np.uint8)
    x = dequantize(jnp.asarray(pictures), sample_keys(jax.random.key(0), 16))
    np.testing.assert_array_equal(np.round((np.asarray(x) + 1) * 127.5), pictures)
    uniform = -192 * jnp.log(256 * 2 / 255)  # over all the intervals
    assert float(bits_per_dim(uniform, 192)) == pytest.approx(8, abs=1e-5)
