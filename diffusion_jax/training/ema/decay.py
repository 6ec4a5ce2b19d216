"""Exponential weights."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffusion_jax.errors import UserError
from diffusion_jax.struct import Scalar, pytree
from diffusion_jax.training.ema.base import averages


@averages.register("decay")
@pytree
class Decay:
    """Exponential weights d^(t-k), divided by their sum: w_t = (1 - d) / (1 - d^t).

    The division is Adam's bias correction (Kingma & Ba 2015, section 3), applied to the average
    as it is built rather than when it is read.

    Attributes:
        decay: d, in [0, 1).

    >>> float(Decay(0.5).weight(jnp.int32(1)))
    1.0
    """

    formula: ClassVar[str] = "w_t = (1 − d)/(1 − dᵗ), d the decay"

    decay: Scalar = 0.999

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise UserError(f"ema 'decay' needs 0 <= decay < 1, got {self.decay}.")

    def weight(self, step: Int[Array, ""]) -> Float[Array, ""]:
        log_decay = jnp.log(jnp.float32(self.decay))
        return jnp.expm1(log_decay) / jnp.expm1(step * log_decay)
