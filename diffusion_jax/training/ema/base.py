"""What a running average of the parameters says, and how it is taken."""

from typing import Any, Protocol, runtime_checkable

import jax
from jaxtyping import Array, Float, Int, PyTree

from diffusion_jax.registry import Registry


@runtime_checkable
class Average(Protocol):
    """Says how much the newest parameters count."""

    def weight(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """w_t of update number t = `step`, counted from 1."""


averages: Registry[Average] = Registry("ema")


def update(
    average: Average, ema: PyTree[Any], params: PyTree[Any], step: Int[Array, ""]
) -> PyTree[Any]:
    """The average after update number `step` (from 1), which gave `params`.

    >>> import jax.numpy as jnp
    >>> update(averages.make("decay(decay=0.9)"), jnp.zeros(2), jnp.ones(2), jnp.int32(1))
    Array([1., 1.], dtype=float32)
    """
    weight = average.weight(step)
    return jax.tree.map(lambda old, new: old + weight * (new - old), ema, params)
