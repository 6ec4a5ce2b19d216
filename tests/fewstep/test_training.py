"""Each objective trains a small network to follow the exact flow map of a mixture in one step.

Distances are in standard deviations of the data, over noise that no training saw. What always
returns the mean, as the denoiser does in one step, is at 1; a network that is not trained is at
0.6 or more.
"""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jaxtyping import Array

from diffusion_jax.fewstep import fewstep
from diffusion_jax.fewstep.progressive import Progressive
from diffusion_jax.fewstep.reflow import Reflow
from diffusion_jax.process.level import Level
from diffusion_jax.sampling.solvers.base import Denoise
from tests.fewstep.oracle import (
    data,
    distance,
    exact_map,
    initial,
    noise,
    of,
    one_step,
    train,
)

# (objective, the distance that it must stay below). MeanFlow's power is for many dimensions, in
# which losses of samples are alike: here it would make medians of means.
BOUNDS = {
    "consistency_distillation": 0.15,
    "consistency_training(last=160)": 0.4,
    "easy_consistency(stages=6)": 0.4,
    "mean_flow(power=0.0)": 0.35,
    "shortcut": 0.2,
    "reflow": 0.4,
    "continuous_consistency": 0.4,
    "continuous_consistency(teaches=True)": 0.3,
}
STEPS = 2000

pytestmark = pytest.mark.optimized


def start() -> Any:
    return initial(jax.random.key(0))


def test_the_exact_map_is_no_denoiser() -> None:
    eps, exact = noise(), data()
    mean = exact.denoise(1e3 * eps, Level(jnp.ones(()), jnp.full((), 1e3)))
    assert distance(mean, eps) == pytest.approx(1, abs=0.01)
    # The map has the distribution of the data.
    drawn, mapped = exact.sample(jax.random.key(3), 1024), exact_map(eps)
    assert jnp.abs(jnp.cov(drawn.T) - jnp.cov(mapped.T)).max() < 0.1
    # And a solver of this library agrees with it.
    assert (
        distance(jax.jit(Reflow(steps=40).couple, static_argnums=0)(exact.denoise, eps), eps) < 0.02
    )


@pytest.mark.parametrize("spec", BOUNDS)
def test_one_step_of_the_trained_network_is_close_to_the_exact_map(spec: str) -> None:
    objective, eps = fewstep.make(spec), noise()
    before = distance(one_step(objective, start(), eps), eps)
    after = distance(one_step(objective, train(objective, start(), STEPS), eps), eps)
    assert after < BOUNDS[spec] < 0.6 < before


def test_flow_matching_alone_is_not_one_step() -> None:
    objective, eps, time = fewstep.make("shortcut(share=0.0)"), noise(), jnp.ones(1024)
    network = of(train(objective, start(), STEPS // 2), objective)
    assert distance(objective.estimate(network, eps, time, time), eps) > 0.9


def as_teacher(params: Any) -> Denoise:
    student = Progressive()

    def denoise(x: Array, level: Level) -> Array:
        time = student.schedule.time(level.log_snr)
        return student.estimate(of(params, student), x, time, time)

    return denoise


def test_progressive_distillation_halves_its_steps_down_to_one() -> None:
    params, eps, made = start(), noise(), None
    for steps in (32.0, 16.0, 8.0, 4.0, 2.0, 1.0):
        objective = Progressive(steps=steps)
        teacher = None if made is None else params
        params = train(objective, params, 800, make_teacher=made, teacher=teacher)
        made = as_teacher
    after = distance(one_step(objective, params, eps), eps)
    assert after < 0.3 < 0.6 < distance(one_step(objective, start(), eps), eps)
