"""Weights that grow as a power of training time."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffusion_jax.struct import pytree, static
from diffusion_jax.training import posthoc
from diffusion_jax.training.ema.base import averages


@averages.register("power_function")
@pytree
class PowerFunction:
    """Weights that grow as a power of training time: w_t = 1 - (1 - 1/t)^(gamma + 1).

    The average spans the same share of the training at any time, and forgets the start. Snapshots
    of averages of a few widths give that of any other afterwards: see `training.posthoc`.

    Attributes:
        std: width of the weights, as a share of the training so far, in (0, 0.2886]; it sets
            gamma.

    Raises:
        UserError: a width outside.

    Source: Karras et al. 2024 (EDM2), section 3.1.

    >>> round(float(PowerFunction(std=12**-0.5).weight(jnp.int32(4))), 6)
    0.25
    """

    formula: ClassVar[str] = "w_t = 1 − (1 − 1/t)^(γ + 1)"

    std: float = static(default=0.1)

    def __post_init__(self) -> None:
        posthoc.exponent(self.std)

    def weight(self, step: Int[Array, "..."] | Float[Array, "..."]) -> Float[Array, "..."]:
        gamma = float(posthoc.exponent(self.std))
        return -jnp.expm1((gamma + 1) * jnp.log1p(-1 / step))
