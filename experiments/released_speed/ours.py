"""This library's half: the same models, from the folders that the original wrote."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.published.model import released
from diffusion_jax.published.parts import read_part
from experiments.released_speed import problems
from experiments.released_speed.problems import FORWARD

Run = Callable[[], np.ndarray]


def forward(name: str, folder: Path) -> Run:
    """A pass of a network, one compiled program."""
    problem, random = FORWARD[name], np.random.default_rng(0)
    part = read_part(folder)
    given = {k: jnp.asarray(array) for k, array in problem.inputs(random).items()}

    @jax.jit
    def call(params: Any, given: Any) -> jax.Array:
        found = problem.network.ours(part.module, params, problem.options, given)["output"]
        assert isinstance(found, jax.Array)
        return found

    return lambda: np.asarray(call(part.params, given))


def pipeline(folder: Path) -> Run:
    """A picture as `ReleasedModel.sample` draws it."""
    model = released(folder)
    noise = jnp.moveaxis(jnp.asarray(problems.start()), 1, -1)

    def run() -> np.ndarray:
        picture = model.sample(
            [problems.PROMPT],
            jax.random.key(0),
            steps=problems.STEPS,
            guidance=problems.GUIDANCE,
            size=(problems.HEIGHT, problems.WIDTH),
            noise=noise,
        )
        return np.asarray(jnp.clip(picture / 2 + 0.5, 0, 1))

    return run
