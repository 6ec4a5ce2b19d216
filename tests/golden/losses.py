"""The loss of a recorded output, through our own objective."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.process.losses import Loss
from diffusion_jax.process.objective import Objective, denoising_loss
from diffusion_jax.process.predictions import Prediction, convert
from diffusion_jax.process.targets import TrainingTargets

points_at = jax.jit(Objective.targets)
_convert = jax.jit(convert)


@jax.jit
def _loss(points: TrainingTargets, output: Any, x0: Array, eps: Array, loss: Loss) -> Array:
    return denoising_loss(lambda x, label: output, points, x0, eps, loss)


def loss_of(objective: Objective, u: Any, x0: Any, eps: Any, output: Any) -> np.ndarray:
    """The loss at quantiles u of a network whose output is known, (batch,)."""
    points = points_at(objective, jnp.asarray(u))
    output = jax.tree.map(jnp.asarray, output)
    return np.asarray(
        _loss(points, output, jnp.asarray(x0), jnp.asarray(eps), objective.loss_function)
    )


def restated(
    value: Any, x: Any, level: Level, source: Prediction, target: Prediction
) -> np.ndarray:
    """A recorded prediction of one kind, as the prediction of another at the same x."""
    return np.asarray(_convert(value, x, level, source, target))


def levels(objective: Objective, u: Any) -> Level:
    """The levels that an objective trains on at quantiles u, in numpy."""
    return jax.tree.map(np.asarray, points_at(objective, jnp.asarray(u)).level)


def mixed(level: Level, x0: Any, eps: Any) -> np.ndarray:
    """The noisy data at levels, (batch, ...)."""
    return np.asarray(_mixed(level, x0, eps))


_mixed = jax.jit(Level.mix)
