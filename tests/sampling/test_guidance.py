"""Guidance, and networks as denoisers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from diffusion_jax.process.denoiser import from_network
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import X0, convert, predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.guidance import (
    ClassifierFree,
    classifier_guided,
    gradient_of,
    guidance,
)
from diffusion_jax.sampling.guidance.scales import from_pipeline, from_weight
from diffusion_jax.verification.oracles import Gaussian
from tests.golden.problems import mixture
from tests.members import PREDICTIONS

pytestmark = pytest.mark.usefixtures("x64")

WHOLE = -1  # the mixture's condition that says nothing


def scene() -> tuple[Array, Level, Array, Array]:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 2)))
    level = Level(jnp.asarray(0.6), jnp.asarray(0.8))
    return x, level, jnp.arange(6) % 3, jnp.full(6, WHOLE)


def noise_of(x: Array, x0: Array, level: Level) -> np.ndarray:
    return (np.asarray(x) - float(level.alpha) * np.asarray(x0)) / float(level.sigma)


@pytest.mark.parametrize("weight", [-1.0, 0.5, 3.0])
def test_classifier_free_is_ho_and_salimans_equation_6(weight: float) -> None:
    # eps = (1 + w) eps(x, c) - w eps(x), in eps; here scale = 1 + w.
    x, level, condition, null = scene()
    data = mixture()
    guided = guidance.make(f"classifier_free(scale={1 + weight})")(data.denoise, null)
    with_condition = noise_of(x, data.denoise(x, level, condition), level)
    without = noise_of(x, data.denoise(x, level, null), level)
    paper = (1 + weight) * with_condition - weight * without
    np.testing.assert_allclose(noise_of(x, guided(x, level, condition), level), paper, rtol=1e-12)


def test_classifier_free_is_the_same_in_every_parametrisation() -> None:
    x, level, condition, null = scene()
    data, scale = mixture(), 2.5
    guided = guidance.make(f"classifier_free(scale={scale})")(data.denoise, null)
    for spec in PREDICTIONS:
        kind = predictions.make(spec, schedule=schedules.make("cosine"), sigma_data=0.8)

        def value(x0: Array, kind=kind) -> Array:  # type: ignore[no-untyped-def]
            return convert(x0, x, level, X0(), kind)

        one, other = value(data.denoise(x, level, condition)), value(data.denoise(x, level, null))
        expected = other + scale * (one - other)
        np.testing.assert_allclose(value(guided(x, level, condition)), expected, rtol=1e-10)


@pytest.mark.parametrize("spec", ["none", "classifier_free(scale=1.0)"])
def test_scale_one_is_no_guidance_to_the_last_bit(spec: str) -> None:
    x, level, condition, null = scene()
    data = mixture()
    guided = jax.jit(guidance.make(spec)(data.denoise, null))(x, level, condition)
    plain = jax.jit(data.denoise)(x, level, condition)
    np.testing.assert_array_equal(guided, plain)


@pytest.mark.parametrize("batched", [False, True], ids=["one level", "a level per sample"])
def test_the_interval_is_in_sigma_and_acts_only_inside(batched: bool) -> None:
    x, _, condition, null = scene()
    data = mixture()
    # At the lower bound no guidance, at the upper one guidance still.
    ratios = jnp.array([0.1, 0.5, 0.51, 1.0, 2.0, 2.01])
    acts = [False, False, True, True, True, False]
    alphas = jnp.full(6, 0.5)
    spec = "classifier_free(scale=3.0, sigma_low=0.5, sigma_high=2.0)"
    guided = guidance.make(spec)(data.denoise, null)
    always = guidance.make("classifier_free(scale=3.0)")(data.denoise, null)
    levels = Level(alphas, alphas * ratios)
    for i, inside in enumerate(acts):
        if batched:
            level, row = levels, slice(i, i + 1)
        else:
            level, row = jax.tree.map(lambda values, i=i: values[i], levels), slice(None)
        expected = (always if inside else data.denoise)(x, level, condition)
        np.testing.assert_allclose(guided(x, level, condition)[row], expected[row], atol=1e-12)


def test_only_the_passes_that_are_needed_run() -> None:
    rows = []

    def denoise(x: Array, level: Level, condition: Array) -> Array:
        jax.debug.callback(lambda: rows.append(x.shape[0]))
        return x

    x, _, condition, null = scene()
    guided = jax.jit(guidance.make("classifier_free(sigma_high=1.0)")(denoise, null))
    for sigma, passes in ((0.5, 12), (2.0, 6)):
        rows.clear()
        guided(x, Level(jnp.asarray(1.0), jnp.asarray(sigma)), condition).block_until_ready()
        jax.effects_barrier()
        assert rows == [passes]


def test_conditions_are_any_pytree() -> None:
    x, level, _, _ = scene()
    condition = {"a": jnp.ones((6, 2)), "b": (jnp.full(6, 2.0),)}
    null = jax.tree.map(jnp.zeros_like, condition)

    def denoise(x: Array, level: Level, condition: dict) -> Array:
        return 0 * x + condition["a"] + condition["b"][0][:, None]

    guided = guidance.make("classifier_free(scale=2.0)")(denoise, null)
    np.testing.assert_allclose(guided(x, level, condition), 6.0)


@pytest.mark.parametrize("channels", [3, 4])  # as many as samples, and not
@pytest.mark.parametrize("batched", [False, True], ids=["one level", "a level per sample"])
@pytest.mark.parametrize("spec", PREDICTIONS)
def test_an_exact_network_is_the_exact_denoiser(spec: str, batched: bool, channels: int) -> None:
    data = Gaussian(jnp.linspace(-1, 1, channels), jnp.linspace(0.3, 1.2, channels))
    kind = predictions.make(spec, schedule=schedules.make("cosine"), sigma_data=0.7)
    alpha = jnp.array([0.9, 0.6, 0.2]) if batched else jnp.asarray(0.6)
    level = Level(alpha, jnp.sqrt(1 - alpha**2))
    x = jnp.asarray(np.random.default_rng(1).normal(size=(3, channels)))

    def network(scaled: Array, label: Array, condition: None) -> Array:
        # It knows the level by its label alone, c_noise = log(sigma/alpha)/4, and x by its scale.
        assert scaled.shape == (3, channels)
        assert label.shape == (3,)
        sigma = 1 / jnp.sqrt(1 + jnp.exp(-8 * label))
        there = Level(jnp.sqrt(1 - sigma**2), sigma)
        scale = jnp.sqrt(sigma**2 + there.alpha**2 * 0.7**2)[:, None]
        noisy = scaled * scale
        return convert(data.denoise(noisy, there), noisy, there, X0(), kind)

    found = from_network(network, kind, 0.7)(x, level, None)
    np.testing.assert_allclose(found, data.denoise(x, level), rtol=1e-8)


def scores(x: Array, level: Level) -> tuple[np.ndarray, np.ndarray]:
    """log p(x), and log p(x | c) + log p(c) of each component: (batch,), (batch, components)."""
    data = mixture()
    alpha, sigma = float(level.alpha), float(level.sigma)
    variance = (alpha * np.asarray(data.stds)) ** 2 + sigma**2
    offset = np.asarray(x)[:, None, :] - alpha * np.asarray(data.means)
    joint = np.log(np.asarray(data.weights)) - (offset**2).sum(-1) / 2 / variance - np.log(variance)
    return np.logaddexp.reduce(joint, axis=1), joint


def log_posterior(x: Array, level: Level, condition: Array) -> Array:
    """log p(c | x) of the mixture, in the library's own arrays."""
    data = mixture()
    variance = (level.alpha * data.stds) ** 2 + level.sigma**2
    offset = x[:, None, :] - level.alpha * data.means
    joint = jnp.log(data.weights) - jnp.sum(offset**2, -1) / 2 / variance - jnp.log(variance)
    return jnp.take_along_axis(jax.nn.log_softmax(joint), condition[:, None], axis=1)[:, 0]


def test_an_exact_classifier_makes_the_exact_conditional_denoiser() -> None:
    x, level, condition, null = scene()
    data = mixture()

    def unconditional(x: Array, level: Level, condition: Array) -> Array:
        return data.denoise(x, level, null)

    guided = classifier_guided(unconditional, gradient_of(log_posterior))
    exact = data.denoise(x, level, condition)
    np.testing.assert_allclose(guided(x, level, condition), exact, rtol=1e-10)


def test_classifier_guidance_is_dhariwal_and_nichols() -> None:
    x, level, condition, null = scene()
    data, scale, step = mixture(), 2.5, 1e-5
    gradient = np.zeros(x.shape)
    for axis in range(2):
        moved = [np.asarray(x) + sign * step * np.eye(2)[axis] for sign in (1, -1)]
        up, down = (
            np.take_along_axis(joint, np.asarray(condition)[:, None], 1)[:, 0] - whole
            for whole, joint in (scores(point, level) for point in moved)
        )
        gradient[:, axis] = (up - down) / (2 * step)
    guided = classifier_guided(
        lambda x, level, condition: data.denoise(x, level, null), gradient_of(log_posterior), scale
    )
    # Algorithm 2: eps - sqrt(1 - alpha_bar) s d log p(c | x)/dx.
    paper = noise_of(x, data.denoise(x, level, null), level) - scale * 0.8 * gradient
    found = noise_of(x, guided(x, level, condition), level)
    np.testing.assert_allclose(found, paper, rtol=1e-6, atol=1e-8)


def test_a_classifier_says_nothing_of_pure_noise() -> None:
    x, _, condition, null = scene()
    data, level = mixture(), Level(jnp.asarray(0.0), jnp.asarray(1.0))
    guided = classifier_guided(
        lambda x, level, condition: data.denoise(x, level, null), gradient_of(log_posterior), 3.0
    )
    np.testing.assert_array_equal(guided(x, level, condition), data.denoise(x, level, null))


def test_some_channels_alone_are_guided() -> None:
    x, level, condition, null = scene()
    data = mixture()
    some = guidance.make("classifier_free(scale=3.0, channels=1)")(data.denoise, null)
    all_of_them = guidance.make("classifier_free(scale=3.0)")(data.denoise, null)
    found = some(x, level, condition)
    np.testing.assert_array_equal(found[:, :1], all_of_them(x, level, condition)[:, :1])
    np.testing.assert_array_equal(found[:, 1:], data.denoise(x, level, condition)[:, 1:])


@pytest.mark.parametrize("value", [0.0, 1.0, 7.5])
def test_other_conventions_of_the_scale(value: float) -> None:
    x, level, condition, null = scene()
    data = mixture()
    one, other = data.denoise(x, level, condition), data.denoise(x, level, null)

    def guided(scale: object) -> Array:
        return ClassifierFree(float(scale))(data.denoise, null)(x, level, condition)  # type: ignore[arg-type]

    weighted = (1 + value) * one - value * other
    np.testing.assert_allclose(guided(from_weight(value)), weighted, rtol=1e-12)
    # if guidance_scale > 1: u + g (c - u), else the network sees the condition alone.
    pipeline = other + value * (one - other) if value > 1 else one
    np.testing.assert_allclose(guided(from_pipeline(value)), pipeline, rtol=1e-12)
