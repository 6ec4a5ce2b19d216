"""A schedule trained with the network: what it becomes, and a run from a config."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from diffusion_jax.process.objective import Objective, TrainingTargets
from diffusion_jax.process.schedules import Learnable
from diffusion_jax.runs.state import TrainState
from diffusion_jax.training.arms import objectives
from diffusion_jax.training.draws import Draws, draw
from diffusion_jax.training.ema import averages
from diffusion_jax.training.hyper import Hyper
from diffusion_jax.training.inputs import Inputs
from diffusion_jax.training.learned_schedule import KEY, LearnedSchedule, with_learned
from diffusion_jax.training.loop import train
from diffusion_jax.training.optimizers import optimizers
from diffusion_jax.training.step import make_train_step
from diffusion_jax.training.trained import TrainedArm, load_arms

LOW, HIGH, DIMS, ROWS, STEPS = -2.0, 6.0, 256, 64, 1200
SCHEDULE = f"learned_log_snr(units=64, log_snr_min={LOW}, log_snr_max={HIGH})"
U = (jnp.arange(64) + 0.5) / 64


def oracle_losses(points: TrainingTargets, x0: jax.Array, eps: jax.Array) -> jax.Array:
    """The losses of the exact eps of standard normal data: sigma x."""
    level = points.level
    found = level.like(x0).sigma * level.mix(x0, eps)
    return points.weight * jnp.mean((found - eps) ** 2, axis=-1)


def losses(params: Any, state: TrainState, hyper: Hyper, inputs: Inputs) -> jax.Array:
    x0, eps = inputs.batch["x0"], inputs.draws.eps

    def at(params: Any, points: TrainingTargets) -> jax.Array:
        return params["w"] * oracle_losses(points, x0, eps)

    assert isinstance(hyper.method, LearnedSchedule)
    return hyper.method.at_levels(at, params, inputs.draws.u)


@pytest.fixture(scope="module")
def learned() -> tuple[Objective, Objective, Any]:
    """The objective before training and after it, and the metrics of the steps."""
    objective = Objective.make(SCHEDULE, "epsilon", "uniform", "elbo")
    method = LearnedSchedule(objective)
    optimizer = optimizers.make("adam(learning_rate=1e-1, decay='cosine')", steps=STEPS)
    hyper = Hyper(optimizer, averages.make("none"), method)
    step = make_train_step(losses)

    def next_step(state: TrainState, key: jax.Array) -> tuple[TrainState, Any]:
        draws = draw(key, jnp.arange(ROWS), (DIMS,), 0.0)
        x0 = jax.random.normal(jax.random.fold_in(key, 1), (ROWS, DIMS))
        # The exact answer has nothing to learn.
        state, metrics = step(state, hyper, Inputs({"x0": x0, "condition": {}}, draws, None))
        kept = {**state.params, "w": jnp.float32(1)}
        return dataclasses.replace(state, params=kept), metrics

    first = method.first_params({"w": jnp.float32(1)})
    state = TrainState.create(first, optimizer.transformation())
    keys = jax.random.split(jax.random.key(5), STEPS)
    state, metrics = jax.jit(lambda state: jax.lax.scan(next_step, state, keys))(state)
    return objective, with_learned(objective, state.params), metrics


def seen(objective: Objective) -> np.ndarray:
    """Losses of many pictures at each of the quantiles U."""
    rng = np.random.default_rng(0)
    x0, eps = (jnp.asarray(rng.normal(size=(64, 50, DIMS)), jnp.float32) for _ in range(2))
    at = jax.vmap(lambda x0, eps: oracle_losses(objective.at(U), x0, eps), in_axes=1)
    return np.asarray(at(x0, eps))


def test_the_learned_schedule_is_the_one_of_least_variance(
    learned: tuple[Objective, Objective, Any],
) -> None:
    before, after, metrics = learned
    level = after.schedule.level(jnp.array([0.0, 1.0]))
    np.testing.assert_allclose(level.log_snr, [HIGH, LOW], rtol=1e-5)
    # For standard normal data, the error in eps is alpha² = sigmoid(log_snr) at every level: the
    # bound is the same under both schedules, and in closed form.
    bound = (np.logaddexp(0, HIGH) - np.logaddexp(0, LOW)) / 2
    old, new = seen(before), seen(after)
    assert old.mean() == pytest.approx(bound, rel=0.02)
    assert new.mean() == pytest.approx(bound, rel=0.02)
    late = np.asarray(metrics["loss"])[STEPS // 2 :]
    assert late.mean() == pytest.approx(bound, rel=0.02)
    # At first the loss depends on the time; then it is the bound at each, but for its noise and
    # the last times, where the network would have to be steep.
    assert np.std(old.mean(0)) > 0.35 * bound
    assert np.median(np.abs(new.mean(0) / bound - 1)) < 0.04
    assert np.std(new.mean(0)) < 0.1 * bound
    assert new.var() < 0.15 * old.var()
    # So log-SNR has the density sigmoid(log_snr)/2, whose integral is linear in time.
    log_snr = np.asarray(after.schedule.level(U).log_snr)
    rest = (np.logaddexp(0, log_snr) - np.logaddexp(0, LOW)) / 2
    np.testing.assert_allclose(rest, bound * (1 - np.asarray(U)), atol=0.02 * bound)


def test_the_network_is_trained_as_by_a_schedule_that_is_given() -> None:
    objective = Objective.make(SCHEDULE, "epsilon", "uniform", "elbo")
    method = LearnedSchedule(objective)
    params = method.first_params({"w": jnp.float32(0.7)})
    x0, eps = jax.random.normal(jax.random.key(1), (2, 64, DIMS))
    draws = Draws(U, eps, U > 2, jax.random.split(jax.random.key(0), 64))
    optimizer = optimizers.make("sgd(learning_rate=0.0)", steps=1)
    hyper = Hyper(optimizer, averages.make("none"), method)
    state = TrainState.create(params, optimizer.transformation())
    inputs = Inputs({"x0": x0, "condition": {}}, draws, None)

    def mean(params: Any) -> jax.Array:
        return losses(params, state, hyper, inputs).mean()

    value, gradient = jax.value_and_grad(mean)(params)
    given = oracle_losses(objective.at(U), x0, eps)
    assert float(value) == pytest.approx(0.7 * float(given.mean()), rel=1e-5)
    assert float(gradient["w"]) == pytest.approx(float(given.mean()), rel=1e-5)

    def squares(own: Any) -> jax.Array:
        changed = with_learned(objective, {KEY: own})
        return jnp.mean((0.7 * oracle_losses(changed.at(U), x0, eps)) ** 2)

    for name, expected in jax.grad(squares)(params[KEY]).items():
        np.testing.assert_allclose(gradient[KEY][name], expected, rtol=1e-4, atol=1e-6)


@pytest.fixture
def learning(config: ConfigDict) -> ConfigDict:
    config.weighting = "elbo"
    config.optimizer = "adam(learning_rate=5e-2)"
    config.training.ema = "decay(decay=0.9)"
    config.arms = ConfigDict(
        {
            "one": {"schedule": "learned_log_snr(units=8)"},
            "two": {
                "schedule": "learned_log_snr(units=8, log_snr_max=8.0)",
                "optimizer": "adam(learning_rate=1e-1)",
            },
        }
    )
    config.time_sampler = "loss_aware(time_sampler=low_discrepancy, labels=4, kept=2)"
    return config


def numbers(arm: TrainedArm) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(arm.params)]


def trained(config: ConfigDict, folder: Path, **changes: object) -> dict[str, TrainedArm]:
    changed = ConfigDict(config.to_dict())
    changed.run_dir = str(folder)
    changed.update_from_flattened_dict(changes)
    return load_arms(train(changed).folder)


@pytest.mark.usefixtures("one_device")
def test_a_run_from_a_config_learns_its_schedule_and_goes_on_exactly(
    learning: ConfigDict, tmp_path: Path
) -> None:
    spread = {"training.execution": "together", "training.microbatches": 2}
    parts = trained(learning, tmp_path / "parts", **spread)
    whole = trained(learning, tmp_path / "whole")
    for name, arm in whole.items():
        for one, two in zip(numbers(arm), numbers(parts[name]), strict=True):
            np.testing.assert_allclose(one, two, rtol=2e-3, atol=2e-4)
    for arm in whole.values():
        # The objective of a trained arm has the average of what was learned; the ends have stayed.
        own, first = arm.objective.schedule, arm.arm.objective.schedule
        assert isinstance(own, Learnable) and isinstance(first, Learnable)
        for name, value in own.learned().items():
            np.testing.assert_array_equal(value, arm.params[KEY][name])
            assert float(jnp.abs(value - first.learned()[name]).max()) > 1e-2
        ends = jnp.array([0.0, 1.0])
        np.testing.assert_allclose(
            own.level(ends).log_snr, first.level(ends).log_snr, rtol=1e-4, atol=1e-4
        )
        x0 = arm.denoiser()(jnp.ones((2, 6)), own.level(U[:2]), {})
        assert np.isfinite(x0).all()

    folder = tmp_path / "cut"
    trained(learning, folder, **{"training.checkpoint_every": 5})
    shutil.rmtree(folder / "checkpoints" / "12")
    again = trained(learning, folder, **{"training.checkpoint_every": 5})
    for name, arm in whole.items():
        for one, two in zip(numbers(arm), numbers(again[name]), strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"weighting": "simple"}, "weighting"),
        ({"time_sampler": "log_normal"}, "time_sampler"),
        ({"prediction": "velocity"}, "prediction"),
        ({"loss": "uncertainty"}, "loss"),
    ],
)
def test_a_loss_that_depends_on_the_schedule_cannot_train_it(
    learning: ConfigDict, changes: dict[str, str], part: str
) -> None:
    learning.arms = ConfigDict({"mine": {"schedule": "learned_log_snr(units=8)", **changes}})
    with pytest.raises(UserError, match=rf"'mine' learns its schedule, .* by its {part}:"):
        objectives(learning)
