"""What training changes from step to step, and nothing else."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, PyTree

from diffusion_jax.parallel.devices import local
from diffusion_jax.process.importance import LossHistory
from diffusion_jax.struct import pytree


@pytree
class TrainState:
    """The state of one arm after `step` updates.

    Attributes:
        step: number of updates made, () int32; a `jax.ShapeDtypeStruct` in a template.
        params: parameters of the network, float32.
        opt_state: state of the optax transformation.
        ema: running average of `params` (see `ema`); equal to `params` before the first update.
        history: the losses seen at each part of the training times, where these follow them.
    """

    step: Int[Array, ""] | Any
    params: PyTree[Any]
    opt_state: PyTree[Any]
    ema: PyTree[Any]
    history: LossHistory | None = None

    @staticmethod
    def create(
        params: PyTree[Any],
        transformation: optax.GradientTransformation,
        history: LossHistory | None = None,
    ) -> "TrainState":
        """The state before the first update; `ema` is a copy, so that the state can be donated.

        >>> TrainState.create({"w": jnp.ones(2)}, optax.sgd(0.1)).step
        Array(0, dtype=int32)
        """
        ema = jax.tree.map(jnp.copy, params)
        opt_state = transformation.init(params)
        return TrainState(jnp.zeros((), jnp.int32), params, opt_state, ema, history)


def all_finite(tree: PyTree[Any]) -> bool:
    """Whether every number in a tree of arrays, whole on every device, is finite.

    They are copied and looked at here: a program for a thousand arrays takes longer to make.

    >>> all_finite({"w": jnp.array([1.0, jnp.nan])})
    False
    """
    leaves = jax.device_get(jax.tree.leaves(local(tree)))
    return all(bool(np.isfinite(leaf).all()) for leaf in leaves)
