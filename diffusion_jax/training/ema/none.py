"""No average."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffusion_jax.struct import pytree
from diffusion_jax.training.ema.base import averages


@averages.register("none")
@pytree
class NoAverage:
    """The newest parameters alone: w_t = 1."""

    formula: ClassVar[str] = "w_t = 1"

    def weight(self, step: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.ones(())
