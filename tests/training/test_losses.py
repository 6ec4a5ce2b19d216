"""Losses other than the squared error train from a config, and what they teach can be sampled."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from diffusion_jax.inference.generate import Sampler, generate
from diffusion_jax.inference.measure import SamplingPlan
from diffusion_jax.networks.initialise import initialise
from diffusion_jax.networks.score_network import build
from diffusion_jax.runs.run import BEFORE, Run
from diffusion_jax.sampling.grids import UniformGrid
from diffusion_jax.sampling.guidance import guidance
from diffusion_jax.sampling.solvers import solvers
from diffusion_jax.training.arms import objectives
from diffusion_jax.training.loop import train
from diffusion_jax.training.trained import TrainedArm, load_arms
from tests.training import points_config

pytestmark = pytest.mark.usefixtures("one_device")

LEARNED = solvers.make("ancestral(variance=learned)")


def config(folder: Path, **arms: dict[str, str]) -> ConfigDict:
    made = points_config.get_config()
    made.run_dir, made.conditioner = str(folder), "none"
    made.schedule, made.time_sampler = "ddpm_linear(steps=50)", "discrete(steps=50)"
    made.prediction = "epsilon"
    made.arms = ConfigDict(arms)
    return made


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrainedArm]:
    folder = tmp_path_factory.mktemp("losses") / "run"
    train(
        config(
            folder,
            hybrid={"loss": "hybrid(steps=50, part=0.1)"},
            uncertain={"loss": "uncertainty"},
            huber={"loss": "pseudo_huber(c=0.1)"},
        )
    )
    return load_arms(folder)


def samples(arm: TrainedArm, solver: str) -> np.ndarray:
    sampler = Sampler(arm.arm.network, solvers.make(solver), guidance.make("none"), (6,))
    nodes = UniformGrid()(arm.objective.schedule, 5)
    return generate(sampler, arm.params, arm.objective.prediction, nodes, {}, 4, 0, 4)[0]


def test_a_variance_is_learned_and_sampled_with(arms: dict[str, TrainedArm]) -> None:
    hybrid = arms["hybrid"]
    told = hybrid.params["backbone"]["zero_out"]["kernel"]
    assert told.shape[1] == 12
    assert float(jnp.abs(told[:, 6:]).max()) > 0  # where the bound alone teaches
    learned, small = (samples(hybrid, f"ancestral(variance={v})") for v in ("learned", "small"))
    assert learned.shape == (4, 6)
    assert np.isfinite(learned).all()
    assert not np.allclose(learned, small)
    # Solvers that ask for none take the same network.
    assert np.isfinite(samples(hybrid, "ddim")).all()


def test_what_learned_no_variance_is_refused_before_training(
    arms: dict[str, TrainedArm], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="learned variance"):
        samples(arms["huber"], "ancestral(variance=learned)")
    asked = config(tmp_path / "run", plain={})
    asked.sampling.solvers = ("ancestral(variance=learned)",)
    with pytest.raises(UserError, match="learned variance"):
        SamplingPlan.make(asked).check(objectives(asked))


def test_an_uncertainty_is_learned_beside(arms: dict[str, TrainedArm]) -> None:
    head = arms["uncertain"].params["uncertainty"]["zero_u"]
    assert float(jnp.abs(head["bias"]).max()) > 0
    assert np.isfinite(samples(arms["uncertain"], "ddim")).all()


def test_before_training_the_uncertainty_changes_nothing() -> None:
    network = build("mlp(width=8, depth=1)", uncertain=True)
    params = initialise(network, jax.random.key(0), (3,), {})
    x, label = jnp.ones((2, 3)), jnp.array([0.5, -0.5])
    value, u = network.apply({"params": params}, x, label, {}, method="with_uncertainty")
    assert (value == network.apply({"params": params}, x, label, {})).all()
    assert (u == 0).all()


def test_pictures_have_twice_the_channels_where_a_variance_is_told() -> None:
    for spec in ("unet(channels=(8,), blocks=1, attention=())", "dit(width=8, depth=1, heads=2)"):
        network = build(spec, variance="learned_range")
        inputs = jnp.zeros((2, 4, 4, 3)), jnp.zeros(2), {}
        found = jax.eval_shape(network.init_with_output, jax.random.key(0), *inputs)[0]
        assert found.shape == (2, 4, 4, 6)


def test_a_run_from_before_losses_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    old = config(folder, plain={})
    old.optimizer = "adam(learning_rate=1e-2)"
    old.training.steps = 4
    train(old)
    stored = folder / "config.json"
    written = json.loads(stored.read_text())
    assert written["loss"] == "squared"
    del written["loss"], written["sealed"], written["checksum"]
    stored.write_text(json.dumps(written))
    assert Run.load(folder).config.loss == BEFORE["loss"]
    old.training.steps = 8
    train(old)
    assert load_arms(folder)["plain"].step == 8
