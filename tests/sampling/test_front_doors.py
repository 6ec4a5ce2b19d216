"""Likelihood, inversion, editing and classifier guidance from Python, on exact data."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

import diffusion_jax as dj
from diffusion_jax.verification.oracles import Gaussian, GaussianMixture

KEY = jax.random.key(5)
COSINE, EDM = dj.schedules.Cosine(), dj.schedules.EDM()
FLOW = dj.schedules.RectifiedFlow()
DATA = Gaussian(jnp.array([0.5, -0.25]), jnp.array([0.5, 0.3]))


def nothing(x: Array, c_noise: Array, condition: Any) -> Array:
    return 0 * x


def test_the_likelihood_of_a_normal_law_is_its_density() -> None:
    x0 = jnp.array([[0.5, -0.25], [1.0, 0.0]])
    scores = (x0 - DATA.mean) / DATA.std
    exact = -jnp.sum(scores**2 / 2 + jnp.log(DATA.std * jnp.sqrt(2 * jnp.pi)), axis=1)
    found = dj.likelihood(DATA.denoise, COSINE, x0)
    np.testing.assert_allclose(found.log_density, exact, atol=0.02)
    # Of a diagonal Jacobian ±1 probes tell the trace exactly.
    probed = dj.likelihood(DATA.denoise, COSINE, x0, KEY, probes=1)
    np.testing.assert_allclose(probed.log_density, exact, atol=0.02)


def test_a_likelihood_is_refused_where_there_is_none() -> None:
    x0 = jnp.zeros((2, 2))
    consistent = dj.Denoiser(lambda x, level, condition, end: 0 * x, denoises=False)
    blind = dj.Objective(FLOW, dj.predictions.Epsilon()).denoiser(nothing)
    with pytest.raises(dj.UserError, match="needs a key"):
        dj.likelihood(DATA.denoise, COSINE, x0, probes=2)
    with pytest.raises(dj.UserError, match="consistency function"):
        dj.likelihood(consistent, COSINE, x0)
    with pytest.raises(dj.UserError, match="no signal is left"):
        dj.likelihood(blind, FLOW, x0)
    with pytest.raises(dj.UserError, match="a row for each of the 2 samples"):
        dj.likelihood(DATA.denoise, COSINE, x0, condition={"label": jnp.zeros(3)})


def test_the_inverse_of_a_sample_leads_back_to_it() -> None:
    nodes, solver = dj.grids.LogSnr(sigma_min=1e-3, sigma_max=2.0)(COSINE, 30), dj.solvers.DPMpp2M()
    x0 = jnp.array([[0.7, -0.1], [0.1, -0.4]])
    x = dj.invert(DATA.denoise, solver, nodes, x0)
    # The flow of a normal law keeps standard scores.
    level = nodes[0].level
    spread = jnp.sqrt((level.alpha * DATA.std) ** 2 + level.sigma**2)
    exact = level.alpha * DATA.mean + spread * (x0 - DATA.mean) / DATA.std
    np.testing.assert_allclose(x, exact, atol=0.02)
    blind = dj.Objective(FLOW, dj.predictions.Epsilon()).denoiser(nothing)
    with pytest.raises(dj.UserError, match="no signal is left"):
        dj.invert(blind, solver, dj.grids.Uniform()(FLOW, 4), x0)


def test_an_edit_keeps_more_the_less_noise_there_is() -> None:
    nodes, solver = dj.grids.Karras()(EDM, 20), dj.solvers.Heun()
    x0 = jnp.full((256, 2), 3.0)
    faint, whole = (
        dj.edit(DATA.denoise, solver, nodes, KEY, x0, strength=s).mean(axis=0) for s in (0.2, 1.0)
    )
    assert (jnp.abs(whole - DATA.mean) < 0.15).all()
    assert (faint > whole + 1).all()
    with pytest.raises(dj.UserError, match="strength"):
        dj.edit(DATA.denoise, solver, nodes, KEY, x0, strength=0.0)


def test_an_exact_classifier_makes_the_conditional_denoiser() -> None:
    """d log p(c | x)/dx of a mixture's components steers its mean to that of one component."""
    data = GaussianMixture(jnp.full(2, 0.5), jnp.array([[-1.0, 0.0], [1.0, 0.5]]), jnp.full(2, 0.4))

    def log_probability(x: Array, level: dj.Level, condition: Any) -> Array:
        here = level.like(x)
        variance = (here.alpha * data.stds) ** 2 + here.sigma**2
        offsets = x[:, None] - here.alpha[..., None] * data.means
        logits = -jnp.sum(offsets**2, axis=-1) / (2 * variance)
        chosen = condition["class"]
        return jnp.take_along_axis(jax.nn.log_softmax(logits), chosen[:, None], axis=1)[:, 0]

    def named(x: Array, level: dj.Level, condition: Any) -> Array:
        return data.denoise(x, level, condition["class"])

    gradient = dj.guidance.gradient_of(log_probability)
    guided = dj.guidance.classifier_guided(lambda x, level, c: data.denoise(x, level), gradient)
    nodes, condition = dj.grids.Karras()(EDM, 12), {"class": jnp.array([0, 1, 1, 0])}
    found, wanted = (
        dj.sample(denoiser, dj.solvers.Heun(), nodes, KEY, (4, 2), condition)
        for denoiser in (guided, named)
    )
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    with pytest.raises(dj.UserError, match="must be finite"):
        dj.guidance.classifier_guided(named, gradient, float("nan"))
