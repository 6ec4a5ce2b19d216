"""Training at times that follow the losses: from a config, resumed, however it is executed."""

import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from diffusion_jax.process.objective import Objective
from diffusion_jax.process.time_samplers import LossAware
from diffusion_jax.runs.state import TrainState
from diffusion_jax.training.denoising import LevelsInStep
from diffusion_jax.training.draws import draw
from diffusion_jax.training.ema import averages
from diffusion_jax.training.hyper import Hyper
from diffusion_jax.training.inputs import Inputs
from diffusion_jax.training.loop import train
from diffusion_jax.training.loss_aware import LossAwareTraining
from diffusion_jax.training.method import TrainingMethod
from diffusion_jax.training.optimizers import optimizers
from diffusion_jax.training.step import make_train_step
from diffusion_jax.training.trained import TrainedArm, load_arms

ROWS, LABELS, STEPS = 32, 8, 200
OPTIMIZER = optimizers.make("sgd(learning_rate=1e-7, momentum=0.0)", steps=STEPS)


def sizes(u: jax.Array) -> jax.Array:
    """Losses that fall by a factor of 400 over the labels, and differ within them."""
    return jnp.exp(-6 * u)


def losses(
    params: dict[str, jax.Array], state: TrainState, hyper: Hyper, inputs: Inputs
) -> jax.Array:
    return params["w"] * sizes(inputs.draws.u)


def gradients(times: str, microbatches: int = 1) -> tuple[TrainState, np.ndarray]:
    """The mean gradient of each of many steps; it is that of the losses' sizes."""
    objective = Objective.make("cosine", "edm", times, "simple")
    method: TrainingMethod = LevelsInStep(objective)
    if isinstance(objective.time_sampler, LossAware):
        method = LossAwareTraining(LevelsInStep(objective), objective.time_sampler)
    hyper = Hyper(OPTIMIZER, averages.make("none"), method)
    step = make_train_step(losses, microbatches)

    def next_step(state: TrainState, key: jax.Array) -> tuple[TrainState, jax.Array]:
        draws = draw(key, jnp.arange(ROWS), (1,), 0.0)
        state, metrics = step(state, hyper, Inputs({}, draws, None))
        return state, metrics["grad_norm"]

    first = TrainState.create(
        {"w": jnp.float32(1)}, OPTIMIZER.transformation(), method.first_history()
    )
    keys = jax.random.split(jax.random.key(3), STEPS)
    state, found = jax.jit(lambda: jax.lax.scan(next_step, first, keys))()
    return state, np.asarray(found)


def test_probabilities_follow_the_losses_and_the_gradient_stays_the_same_but_for_its_noise() -> (
    None
):
    state, aware = gradients(f"loss_aware(labels={LABELS}, kept=10)")
    assert state.history is not None
    # sqrt(E[L²]) of exp(-6 u) over each eighth of (0, 1), in closed form.
    edges = np.exp(-12 * np.arange(LABELS + 1) / LABELS)
    expected = np.sqrt((edges[:-1] - edges[1:]) * LABELS / 12)
    found = np.asarray(state.history.probabilities(0.0))
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=0.2)

    _, plain = gradients("uniform")
    mean = (1 - np.exp(-6)) / 6
    late = aware[STEPS // 10 :]  # the others are uniform still
    assert late.mean() == pytest.approx(mean, abs=4 * late.std() / np.sqrt(late.size))
    assert plain.mean() == pytest.approx(mean, abs=4 * plain.std() / np.sqrt(plain.size))
    assert late.std() < 0.4 * plain.std()


def test_parts_of_a_batch_leave_the_same_history() -> None:
    whole, _ = gradients(f"loss_aware(labels={LABELS}, kept=10)")
    parts, _ = gradients(f"loss_aware(labels={LABELS}, kept=10)", microbatches=4)
    assert whole.history is not None and parts.history is not None
    np.testing.assert_array_equal(parts.history.count, whole.history.count)
    np.testing.assert_allclose(parts.history.losses, whole.history.losses, rtol=1e-5)


def numbers(arm: TrainedArm) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(arm.params)]


def trained(config: ConfigDict, folder: Path, **changes: object) -> dict[str, TrainedArm]:
    changed = ConfigDict(config.to_dict())
    changed.run_dir = str(folder)
    changed.update_from_flattened_dict(changes)
    return load_arms(train(changed).folder)


@pytest.fixture
def aware(config: ConfigDict) -> ConfigDict:
    config.arms = ConfigDict(
        {
            "plain": {},
            "aware": {"time_sampler": "loss_aware(labels=4, kept=2)"},
            "sharp": {"time_sampler": "loss_aware(labels=4, kept=2, uniform_share=0.1)"},
        }
    )
    return config


def test_a_run_from_a_config_goes_on_exactly_however_it_is_executed(
    aware: ConfigDict, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    spread = {"training.execution": "together", "training.microbatches": 2}
    eight = trained(aware, tmp_path / "eight", **spread)
    request.getfixturevalue("one_device")
    whole = trained(aware, tmp_path / "whole")
    for name, arm in whole.items():
        for one, two in zip(numbers(arm), numbers(eight[name]), strict=True):
            np.testing.assert_allclose(one, two, rtol=2e-3, atol=2e-5)
    # By then the losses have been followed.
    pairs = zip(numbers(whole["plain"]), numbers(whole["aware"]), strict=True)
    assert any((one != two).any() for one, two in pairs)

    # The history is part of what a run goes on from.
    trained(aware, tmp_path / "cut", **{"training.checkpoint_every": 5})
    shutil.rmtree(tmp_path / "cut" / "checkpoints" / "12")
    again = trained(aware, tmp_path / "cut", **{"training.checkpoint_every": 5})
    for name, arm in whole.items():
        for one, two in zip(numbers(arm), numbers(again[name]), strict=True):
            np.testing.assert_array_equal(one, two)
