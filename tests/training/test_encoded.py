"""What a model's own autoencoder and text encoder make of a data set, as data to train it on."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffusion_jax as dj
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.published.model import ReleasedModel
from diffusion_jax.training.loop import train
from diffusion_jax.training.trained import load_arms
from tests.training.released_runs import PRX, WORDS, config_of, stripes

pytestmark = pytest.mark.usefixtures("one_device")
CAPTIONS = ["a dog", "the fox"]


def encoded(model: ReleasedModel) -> dict[str, np.ndarray]:
    data = dj.data.arrays(stripes(12), CAPTIONS * 6, held_out=0.2)
    return dj.data.encoded(data, model)


def known(asked: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
    """The part of a condition that the arrays have."""
    return {name: jnp.asarray(asked[name]) for name in arrays if name in asked}


def test_arrays_are_what_the_model_makes_of_each_example() -> None:
    model = dj.released(WORDS)
    found = encoded(model)
    assert found["x0"].shape == (12, 4, 4, 4) and set(found["captions"]) == set(CAPTIONS)
    for caption, tokens in zip(found["captions"][-3:], found["tokens"][-3:], strict=True):
        np.testing.assert_allclose(tokens, model.ask([caption])["tokens"][0], atol=1e-5)


def test_stable_diffusion_reads_them_by_the_conditioner_of_embeddings() -> None:
    model = dj.released(WORDS)
    arrays = encoded(model)
    told = {name: array for name, array in arrays.items() if name not in ("x0", "captions")}
    data = dj.data.arrays(arrays["x0"], arrays["captions"].tolist(), latents=True, **told)
    start = dj.pretrained(WORDS, conditioner=dj.conditioners.Embeddings().fit(data))
    x, c_noise = jax.random.normal(jax.random.key(0), (2, 4, 4, 4)), jnp.array([3.0, 700.0])
    asked = model.ask(CAPTIONS)

    def network(condition: dict[str, jax.Array]) -> np.ndarray:
        found = jax.jit(start.network.apply)({"params": start.params}, x, c_noise, condition)
        return np.asarray(found)

    found = network(known(asked, arrays))
    context = Context(**{name: jnp.asarray(array) for name, array in asked.items()})
    part = model.network
    wanted = jax.jit(part.module.apply)({"params": part.params}, x, c_noise, context)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    assert np.abs(network(known(model.ask(CAPTIONS[::-1]), arrays)) - found).max() > 1e-3


def test_a_run_on_them_starts_from_the_model(tmp_path) -> None:
    """Without a learning rate it denoises as the released one does, asked for the same words."""
    model = dj.released(PRX)
    arrays = encoded(model)
    config = config_of(tmp_path, PRX, "lora(rank=1)", **arrays)
    config.conditioner, config.optimizer = "embeddings()", "adam(learning_rate=0.0)"
    config.training.caption_dropout, config.training.steps = 0.2, 1
    train(config)
    (arm,) = load_arms(config.run_dir).values()
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 4))
    level = model.nodes(4).level
    level = dj.Level(level.alpha[1], level.sigma[1])
    asked = model.ask(CAPTIONS)
    found = arm.denoiser()(x, level, known(asked, arrays))
    np.testing.assert_allclose(found, model.denoiser()(x, level, asked), rtol=1e-4, atol=1e-4)
