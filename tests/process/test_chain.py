"""Steps of the reverse chain, its bound, and losses that know one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from diffusion_jax.errors import UserError
from diffusion_jax.process.bound_terms import prior_term
from diffusion_jax.process.gaussians import normal_kl, pixel_log_likelihood, tanh_cdf
from diffusion_jax.process.level import Level
from diffusion_jax.process.losses import losses
from diffusion_jax.process.objective import Objective, denoising_loss
from diffusion_jax.process.pixels import decode, encode, reconstruction
from diffusion_jax.process.posterior import chain_step, posterior
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.chain_bound import variational_bound

PIXELS = 2 * np.arange(256) / 255 - 1


@pytest.mark.usefixtures("x64")
def test_the_posterior_is_bayes() -> None:
    here, there = (
        Level(jnp.asarray(0.6), jnp.asarray(0.8)),
        Level(jnp.asarray(0.9), jnp.asarray(0.3)),
    )
    step = posterior(here, there)
    # Precisions add: of x_s given x_0, and of x_t given x_s.
    r = 0.6 / 0.9
    gained = 0.8**2 - (r * 0.3) ** 2
    precision = 1 / 0.3**2 + r**2 / gained
    np.testing.assert_allclose(jnp.exp(step.log_small), 1 / precision, rtol=1e-12)
    np.testing.assert_allclose(jnp.exp(step.log_large), gained, rtol=1e-12)
    mean = (0.9 * 0.7 / 0.3**2 + r * 0.2 / gained) / precision
    np.testing.assert_allclose(step.mean(jnp.asarray(0.2), jnp.asarray(0.7)), mean, rtol=1e-12)


def test_a_chain_ends_on_clean_data_whatever_the_schedule() -> None:
    for spec in ("ddpm_linear", "cosine", "rectified_flow", "edm"):
        schedule = schedules.make(spec)
        time = jnp.asarray(schedule.t_max * np.arange(1, 101) / 100, jnp.float32)
        step = chain_step(schedule, jnp.maximum(time, schedule.t_min), 100)
        assert step.decodes.tolist() == [True] + 99 * [False]
        assert np.isfinite(step.posterior.log_small).all()


def test_pixels_have_all_the_probability() -> None:
    for approximate in (False, True):
        total = jnp.exp(
            pixel_log_likelihood(
                jnp.asarray(PIXELS), jnp.full(256, 0.2), jnp.full(256, -4.0), 256, approximate
            )
        ).sum()
        assert float(total) == pytest.approx(1, abs=1e-5)


def test_pixels_far_from_the_mean_keep_their_digits() -> None:
    # Six standard deviations above the mean: nothing is left of 1 - cdf in float32.
    found = pixel_log_likelihood(
        jnp.full(1, PIXELS[200]), jnp.full(1, PIXELS[200] - 0.6), jnp.full(1, -4.605)
    )
    half, scale = 1 / 255, np.exp(4.605 / 2)
    exact = stats.norm.sf((0.6 - half) * scale) - stats.norm.sf((0.6 + half) * scale)
    assert float(found[0]) == pytest.approx(np.log(exact), rel=1e-3)


@pytest.mark.parametrize("values", [2, 16, 256])
def test_pixels_come_back_from_little_noise_and_their_probabilities_sum_to_one(values: int) -> None:
    pixels = jnp.arange(values)[None]
    level = Level(jnp.asarray(0.9), jnp.asarray(0.1 / values))
    z = level.mix(encode(pixels, values), jnp.full((1, values), 0.5))
    log_p = decode(z, level, values)
    assert (jnp.argmax(log_p, axis=-1) == pixels).all()
    np.testing.assert_allclose(jnp.exp(log_p).sum(axis=-1), 1, rtol=1e-5)
    assert float(reconstruction(pixels, z, level, values)[0]) < 1e-3
    # Without any signal every value is as likely as another.
    lost = Level(jnp.asarray(1e-6), jnp.asarray(1.0))
    nothing = reconstruction(pixels, 0 * z, lost, values)
    assert float(nothing[0]) == pytest.approx(np.log(values), rel=1e-4)


def test_divergence_is_the_textbooks() -> None:
    found = normal_kl(jnp.asarray(0.3), jnp.asarray(-1.0), 1.0, 0.5)
    v, w = np.exp(-1.0), np.exp(0.5)
    assert float(found) == pytest.approx(0.5 * (np.log(w / v) + v / w - 1 + 0.49 / w), rel=1e-5)
    z = np.linspace(-4, 4, 41)
    np.testing.assert_allclose(tanh_cdf(jnp.asarray(z)), stats.norm.cdf(z), atol=3e-4)
    level = Level(jnp.asarray(0.0), jnp.asarray(1.0))
    assert float(prior_term(jnp.ones((1, 3)), level)[0]) == 0


def test_the_variational_loss_is_the_bound_on_average() -> None:
    """Over all labels its mean is the sum of the terms; each has the same noise here."""
    steps = 50
    schedule = schedules.make(f"ddpm_linear(steps={steps})")
    x0, eps = jnp.full((1, 2), PIXELS[140]), jnp.array([[0.7, -0.4]])
    bound = variational_bound(
        lambda x, level, condition: 0.5 * x, schedule, steps, x0, lambda k: eps, None, "small", True
    )
    objective = Objective.make(
        f"ddpm_linear(steps={steps})",
        "x0",
        f"discrete(steps={steps})",
        "simple",
        loss=f"variational(kind=small, steps={steps})",
    )
    points = objective.targets((jnp.arange(steps) + 0.5) / steps)
    every = denoising_loss(
        lambda scaled, label: 0.5 * scaled / points.input_scale[:, None],
        points,
        jnp.tile(x0, (steps, 1)),
        jnp.tile(eps, (steps, 1)),
        objective.loss_function,
    )
    terms = np.asarray(bound.terms[:, 0])[::-1]
    np.testing.assert_allclose(every, steps * terms / np.log(2), rtol=1e-3)
    np.testing.assert_allclose(bound.total[0], bound.prior[0] + terms.sum(), rtol=1e-5)


@pytest.mark.parametrize("kind", ["learned", "learned_range"])
def test_the_hybrid_loss_teaches_the_variance_alone_by_the_bound(kind: str) -> None:
    make = [f"hybrid(kind={kind}, part={part}, steps=20)" for part in (1e-3, 1e3)]
    found = []
    for spec in make:
        objective = Objective.make("cosine", "v", "uniform", "simple", loss=spec)
        points = objective.targets(jnp.array([0.02, 0.4, 0.9]))
        x0, eps = jnp.full((3, 2), PIXELS[100]), jnp.full((3, 2), 0.3)

        def loss(output, points=points, x0=x0, eps=eps, loss=objective.loss_function):  # type: ignore[no-untyped-def]
            return denoising_loss(lambda x, label: output, points, x0, eps, loss).sum()

        found.append(jax.grad(loss)(jnp.full((3, 4), 0.2)))
    np.testing.assert_allclose(found[0][:, :2], found[1][:, :2], rtol=1e-6)
    np.testing.assert_allclose(1e6 * found[0][:, 2:], found[1][:, 2:], rtol=1e-4)
    assert np.isfinite(found[1]).all()
    assert (found[1][1:, 2:] != 0).all()


def test_distances() -> None:
    objective = Objective.make("cosine", "epsilon", "uniform", "simple")
    points = objective.targets(jnp.array([0.5]))
    x0, eps, error = jnp.zeros((1, 2)), jnp.zeros((1, 2)), jnp.array([[3.0, -1.0]])

    def found(spec: str, output: object = error) -> float:
        return float(losses.make(spec)(output, points, x0, eps)[0])

    assert found("squared") == 5
    assert found("absolute") == 2
    # Song & Dhariwal's, of the whole vector, over sqrt(dims).
    paper = (np.sqrt(10 + 2 * 0.5**2) - np.sqrt(2) * 0.5) / np.sqrt(2)
    assert found("pseudo_huber(c=0.5)") == pytest.approx(paper, rel=1e-5)
    assert found("uncertainty", (error, jnp.array([0.5]))) == pytest.approx(
        5 * np.exp(-0.5) + 0.5, rel=1e-6
    )
    for spec in ("pseudo_huber(c=0)", "hybrid(kind=small)", "variational(steps=1)"):
        with pytest.raises(UserError):
            losses.make(spec)
