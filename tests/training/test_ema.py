"""Averages of parameters, against their definitions as sums."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.training.ema import averages, update

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


@pytest.mark.parametrize("spec", ["decay(decay=1.0)", "decay(decay=-0.1)", "half_life(samples=0)"])
def test_settings_that_cannot_work_are_refused(spec: str) -> None:
    with pytest.raises(UserError, match="needs"):
        averages.make(spec)
