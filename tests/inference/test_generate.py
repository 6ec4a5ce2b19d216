"""Generated samples depend on their seed and index alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.inference.generate import Sampler, generate
from diffusion_jax.networks.denoiser import NetworkDenoiser
from diffusion_jax.networks.initialise import initialise
from diffusion_jax.networks.score_network import ScoreNetwork, build
from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import grids, make
from diffusion_jax.sampling.guidance import guidance
from diffusion_jax.sampling.inverse import Mask, posteriors
from diffusion_jax.sampling.solvers import solvers

NETWORK = build("mlp(width=8, depth=1)", "label(width=8)", num_classes=3)
CONDITION = {"label": jnp.arange(5) % 3}
VP, FLOW = schedules.make("cosine"), schedules.make("rectified_flow")


def shaken(network: ScoreNetwork, condition: dict, seed: int = 0) -> dict:
    drawn = initialise(network, jax.random.key(0), (2,), condition)
    # Zero-initialised ends would make the network blind to its condition.
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: p + rng.normal(size=p.shape).astype(np.float32) / 4, drawn)


@pytest.fixture(scope="module")
def params() -> dict:
    return shaken(NETWORK, CONDITION)


def sampler(solver: str = "ddim(eta=1.0)") -> Sampler:
    guide = guidance.make("classifier_free(scale=2.0)")
    return Sampler(NETWORK, solvers.make(solver), guide, (2,), sigma_data=0.5)


def test_batch_size_changes_no_sample(params: dict) -> None:
    nodes = make(grids.make("karras"), VP, 4)
    prediction = predictions.make("v")
    draws = [
        generate(sampler(), params, prediction, nodes, CONDITION, 5, 0, batch_size)[0]
        for batch_size in (5, 2)
    ]
    np.testing.assert_allclose(draws[0], draws[1], atol=1e-5)
    other, _ = generate(sampler(), params, prediction, nodes, CONDITION, 5, 1, 5)
    assert np.abs(other - draws[0]).min() > 1e-4


def test_the_path_leads_from_the_prior_to_the_samples(params: dict) -> None:
    nodes = make(grids.make("karras"), VP, 4).pad(6)
    prediction = predictions.make("v")
    samples, path = generate(sampler(), params, prediction, nodes, CONDITION, 5, 0, 3, traced=2)
    assert path.x.shape == path.denoised.shape == (5, 2, 2)
    assert path.level.alpha.shape == (5,) and np.isposinf(path.level.log_snr[-1])
    np.testing.assert_array_equal(path.x[-1], samples[:2])
    # The first frame is the prior: standard normal for a variance-preserving process.
    assert 0 < np.abs(path.x[0]).max() < 5


@pytest.mark.parametrize("text", ["label(width=8)", "none"])
def test_another_network_guides(text: str) -> None:
    network = build("mlp(width=8, depth=1)", text, num_classes=3)
    condition = {} if text == "none" else CONDITION
    good, bad = shaken(network, condition), shaken(network, condition, seed=1)
    nodes, prediction = make(grids.make("karras"), VP, 4), predictions.make("v")

    def drawn(spec: str, guide: NetworkDenoiser | None) -> np.ndarray:
        guided = dataclasses.replace(
            sampler(), network=network, guidance=guidance.make(spec), guide=guide
        )
        return generate(guided, good, prediction, nodes, condition, 5, 0, 5)[0]

    plain = drawn("none", None)
    guide = NetworkDenoiser(network, bad, predictions.make("x0"), 0.7)
    np.testing.assert_allclose(drawn("autoguidance(scale=1.0)", guide), plain, atol=1e-5)
    far = drawn("autoguidance(scale=3.0)", guide)
    assert np.abs(far - plain).max() > 1e-2
    # A network that is its own guide guides nowhere.
    itself = NetworkDenoiser(network, good, prediction, 0.5)
    np.testing.assert_allclose(drawn("autoguidance(scale=3.0)", itself), plain, atol=1e-4)


@pytest.mark.parametrize("spec", ["diffpir(noise_std=0.01)", "repaint(resample=2)"])
def test_each_sample_follows_its_own_observation(params: dict, spec: str) -> None:
    y = jnp.stack([jnp.linspace(-1, 1, 5), jnp.zeros(5)], axis=1)
    keep = Mask(jnp.array([1.0, 0.0]))
    posterior = posteriors.make(spec, operator=keep, observation=y)
    given = dataclasses.replace(sampler(), posterior=posterior)
    nodes, prediction = make(grids.make("karras"), VP, 8).pad(12), predictions.make("v")
    draws = [
        generate(given, params, prediction, nodes, CONDITION, count, 0, batch_size)[0]
        for count, batch_size in ((5, 5), (5, 2), (3, 3))
    ]
    assert np.abs(draws[0][:, 0] - y[:, 0]).max() < 0.1
    np.testing.assert_allclose(draws[1], draws[0], atol=1e-4)
    np.testing.assert_allclose(draws[2], draws[0][:3], atol=1e-4)


def test_one_program_serves_all_arms_and_step_counts(params: dict) -> None:
    from diffusion_jax.inference import generate as module

    before = module._run._cache_size()
    for schedule in (VP, FLOW):
        for steps in (2, 4):
            nodes = make(grids.make("karras"), schedule, steps).pad(6)
            generate(sampler("heun"), params, predictions.make("x0"), nodes, CONDITION, 5, 0, 5)
    assert module._run._cache_size() == before + 1


def test_a_start_without_signal_is_refused(params: dict) -> None:
    nodes = make(grids.make("uniform"), FLOW, 4)
    with pytest.raises(UserError, match="alpha = 0"):
        generate(sampler("edm"), params, predictions.make("x0"), nodes, CONDITION, 5, 0, 5)
    samples, _ = generate(
        sampler("heun"), params, predictions.make("x0"), nodes, CONDITION, 5, 0, 5
    )
    assert np.isfinite(samples).all()
