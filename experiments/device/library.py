"""This library's own training step, from parts, without a config or data."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.networks.score_network import ScoreNetwork, build
from diffusion_jax.process.objective import Objective, TrainingTargets
from diffusion_jax.runs.state import TrainState
from diffusion_jax.training.draws import Draws, draw
from diffusion_jax.training.ema import averages
from diffusion_jax.training.hyper import Hyper
from diffusion_jax.training.inputs import Inputs
from diffusion_jax.training.optimizers import optimizers
from diffusion_jax.training.step import make_train_step, score_losses
from experiments.device.inputs import (
    DECAY,
    LEARNING_RATE,
    SIGMA_DATA,
)
from experiments.device.problems import CLASSES, Problem
from experiments.weights import Arrays, nested, random_weights

DROPOUT = 0.1  # share of classes that are hidden


@dataclasses.dataclass(frozen=True)
class Training:
    """What a training step needs.

    Attributes:
        network: with its settings.
        objective: the rectified flow's velocity.
        draw: number of the step -> its randomness.
        targets: quantiles -> noise levels.
        step: not compiled.
        batch: the same pictures in every step.
    """

    network: ScoreNetwork
    objective: Objective
    draw: Callable[[Any], Draws]
    targets: Callable[[Any], TrainingTargets]
    step: Callable[..., Any]
    batch: dict[str, Any]

    def inputs(self, number: int) -> Inputs:
        """Of a step, as the training loop makes them."""
        draws = self.draw(np.int32(number))
        return Inputs(self.batch, draws, self.targets(draws.u))


def training(problem: Problem, dtype: str, settings: Sequence[str], batch: int) -> Training:
    """The training of a network on random pictures.

    Args:
        problem: the network.
        dtype: of the computation.
        settings: of the network, such as "remat=True".
        batch: pictures of a step.

    Raises:
        UserError: the device cannot run the network with such settings.
    """
    network = build(problem.spec(*settings), problem.text, num_classes=CLASSES, dtype=dtype)
    objective = Objective.make("rectified_flow", "velocity", "uniform", "simple", SIGMA_DATA)
    key = jax.random.key(0)

    @jax.jit
    def draw_step(number: int | jax.Array) -> Draws:
        own = jax.random.fold_in(key, number)
        return draw(own, jnp.arange(batch), problem.shape, DROPOUT)

    random = np.random.default_rng(0)
    pictures = SIGMA_DATA * random.standard_normal((batch, *problem.shape), np.float32)
    rows = {
        "x0": jnp.asarray(pictures),
        "condition": {"label": jnp.asarray(random.integers(CLASSES, size=batch, dtype=np.int32))},
    }
    step = make_train_step(score_losses(network))
    return Training(network, objective, draw_step, jax.jit(objective.targets), step, rows)


def hyper(batch: int, learning_rate: float = LEARNING_RATE) -> Hyper:
    """Adam, and an average of the parameters."""
    optimizer = optimizers.make(f"adam(learning_rate={learning_rate!r})", steps=1)
    return Hyper(optimizer, averages.make(f"decay(decay={DECAY})", batch_size=batch))


def first_state(weights: Arrays, own: Hyper) -> TrainState:
    """Before the first update, from parameters by their path."""
    params = jax.tree.map(jnp.array, nested(weights))
    return TrainState.create(params, own.optimizer.transformation())


def first_weights(network: ScoreNetwork, shape: tuple[int, ...]) -> Arrays:
    """Random parameters by their path in flax, none of them zero."""
    condition = {"label": jnp.zeros(1, jnp.int32)}
    given = jnp.zeros((1, *shape)), jnp.zeros(1), condition
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), *given))["params"]
    leaves = jax.tree_util.tree_flatten_with_path(shapes)[0]
    named = {"/".join(str(key.key) for key in path): leaf.shape for path, leaf in leaves}
    return random_weights(named)
