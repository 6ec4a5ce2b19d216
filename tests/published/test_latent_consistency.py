"""LCM draws what diffusers drew, from the same noise and the same scales of guidance."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners import Context
from diffusion_jax.networks.unet2d.unet2d_condition import UNet2DCondition
from diffusion_jax.published.model import ReleasedModel, released
from experiments.parity.replayed import Replayed, draws_of
from tests.published.recorded import DATA

FOLDER = DATA / "latent_consistency"
TOLD = json.loads((FOLDER / "cases.json").read_text())


@pytest.fixture(scope="module")
def model() -> ReleasedModel:
    return released(FOLDER)


@pytest.mark.filterwarnings("ignore:The prompt")
@pytest.mark.parametrize("case", range(len(TOLD["cases"])))
def test_what_is_drawn_is_the_original_s(model: ReleasedModel, case: int) -> None:
    guidance, steps = TOLD["cases"][case]
    with np.load(FOLDER / "drawn.npz") as stored:
        noise = jnp.asarray(np.moveaxis(stored["noise"], 2, -1))
        latents = np.moveaxis(stored[f"latent{case}"], 1, -1)
    nodes, solver = model.nodes(steps), model.scheduler.solver(steps)
    if steps > 1:
        solver = Replayed(solver, nodes, draws_of(solver, nodes, noise[1:steps]))
    found = model.sample(
        TOLD["prompts"],
        jax.random.key(0),
        guidance=guidance,
        steps=steps,
        solver=solver,
        size=tuple(TOLD["size"]),
        noise=noise[0],
        latents=True,
    )
    assert np.abs(found - latents).max() < 1e-4 * np.sqrt(np.mean(latents**2))


def test_the_network_is_told_the_scale_and_asked_once(model: ReleasedModel) -> None:
    asked = model.ask(["a dog", ""], (8, 16))
    assert asked["numbers"].tolist() == [[8.5], [8.5]]
    assert model.pipeline.steer(model, None) == (None, None)
    assert model.pipeline.steer(model, 3.0) == (None, 3.0)


def test_a_scale_that_is_not_told_is_asked_for() -> None:
    words = Context(jnp.zeros((1, 5, 16)), jnp.ones((1, 5), bool), jnp.zeros((1, 0)))
    small = {"block_out_channels": (32,), "down_block_types": ("DownBlock2D",)}
    small |= {"up_block_types": ("UpBlock2D",), "cross_attention_dim": 16}
    network = UNet2DCondition(time_cond_proj_dim=4, **small)
    given = jax.random.key(0), jnp.zeros((1, 8, 8, 4)), jnp.zeros(1), words
    with pytest.raises(UserError, match="a scale of guidance as the last of the condition's"):
        jax.eval_shape(network.init, *given)
    with pytest.raises(UserError, match="time_cond_proj_dim must be 4 or more, not 2"):
        UNet2DCondition(time_cond_proj_dim=2, **small)
