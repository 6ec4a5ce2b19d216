"""Averages of parameters, against their definitions as sums."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.training.ema import averages, update
from diffusion_jax.training.posthoc import exponent

members = pytest.mark.parametrize("name", list(averages))


def run(spec: str, values: np.ndarray, start: float, batch_size: int = 10) -> np.ndarray:
    """The averages after each of `values`."""
    average = averages.make(spec, batch_size=batch_size)
    ema, trace = jnp.float32(start), []
    for step, value in enumerate(values, start=1):
        ema = update(average, ema, jnp.float32(value), jnp.int32(step))
        trace.append(float(ema))
    return np.array(trace)


@members
@pytest.mark.parametrize("start", [0.0, 3.25, -1e3])
def test_average_of_a_constant_is_that_constant_from_the_first_update_on(
    name: str, start: float
) -> None:
    assert (run(name, np.full(50, 3.25), start) == 3.25).all()


@members
def test_weights_are_shares(name: str) -> None:
    average = averages.make(name, batch_size=32)
    weights = [float(average.weight(jnp.int32(step))) for step in (1, 2, 10, 1000, 10**6)]
    assert weights[0] == 1 and all(0 < weight <= 1 for weight in weights)


def test_decay_is_the_normalised_exponential_sum() -> None:
    values = np.random.default_rng(0).standard_normal(40)
    powers = 0.9 ** np.arange(40)[::-1]
    expected = np.sum(powers * values) / np.sum(powers)
    assert run("decay(decay=0.9)", values, start=7.0)[-1] == pytest.approx(expected, rel=1e-5)


def test_half_life_halves_the_old_after_so_many_pictures() -> None:
    # Long after the start (ramp-up over), one step of 100 pictures at a half-life of 100.
    average = averages.make("half_life(samples=100, ramp_up=0.05)", batch_size=100)
    assert float(average.weight(jnp.int32(1000))) == pytest.approx(0.5)


def test_half_life_does_not_depend_on_the_batch_size() -> None:
    spec = "half_life(samples=1000, ramp_up=10.0)"
    fine = run(spec, np.repeat([0.0, 1.0], 1000), start=0.0, batch_size=1)[-1]
    coarse = run(spec, np.repeat([0.0, 1.0], 100), start=0.0, batch_size=10)[-1]
    assert fine == pytest.approx(0.5, rel=1e-3) and coarse == pytest.approx(fine, rel=1e-3)


@pytest.mark.parametrize("std", [0.05, 0.15, 0.28])
def test_power_function_weighs_the_past_by_a_power_of_its_time(std: float) -> None:
    values = np.random.default_rng(1).standard_normal(60)
    gamma = float(exponent(std))
    # The power's integral over each update, from the formula of the profile.
    shares = np.diff((np.arange(61) / 60) ** (gamma + 1))
    found = run(f"power_function(std={std})", values, start=7.0)[-1]
    assert found == pytest.approx(np.sum(shares * values), rel=1e-4, abs=1e-5)


def test_inverse_power_of_one_is_the_mean_until_its_largest_decay() -> None:
    values = np.random.default_rng(2).standard_normal(20)
    found = run("inverse_power(power=1.0, decay=0.9)", values, start=7.0)
    assert found[9] == pytest.approx(np.mean(values[:10]), rel=1e-5)
    assert found[19] == pytest.approx(0.9 * found[18] + 0.1 * values[19], rel=1e-5)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("decay(decay=1.0)", "needs"),
        ("decay(decay=-0.1)", "needs"),
        ("half_life(samples=0)", "needs"),
        ("power_function(std=0.3)", "std in"),
        ("power_function(std=0.0)", "std in"),
        ("inverse_power(power=0.0)", "power must be positive"),
        ("inverse_power(decay=1.5)", "decay must be from 0 to 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        averages.make(spec)
