"""A decay that warms up."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffusion_jax.errors import positive, within
from diffusion_jax.struct import Scalar, pytree
from diffusion_jax.training.ema.base import averages


@averages.register("inverse_power")
@pytree
class InversePower:
    """A decay that warms up: w_t = max((1 + (t - 1)/inv_gamma)^-power, 1 - decay).

    Attributes:
        inv_gamma: number of updates in which the warm-up sets in.
        power: 1 gives equal weights at inv_gamma = 1; less forgets faster.
        decay: largest share that the past keeps in an update, in [0, 1].

    Raises:
        UserError: a setting that is not positive, or a decay outside.

    Source: Crowson 2022 (k-diffusion), its warm-up of averages.

    >>> round(float(InversePower(power=1.0).weight(jnp.int32(4))), 6)
    0.25
    """

    formula: ClassVar[str] = "w_t = max((1 + (t − 1)/inv_gamma)^(−power), 1 − decay)"

    inv_gamma: Scalar = 1.0
    power: Scalar = 2 / 3
    decay: Scalar = 0.9999

    def __post_init__(self) -> None:
        positive(self, "inv_gamma", "power")
        within(self, 0.0, 1.0, "decay")

    def weight(self, step: Int[Array, ""]) -> Float[Array, ""]:
        return jnp.maximum((1 + (step - 1) / self.inv_gamma) ** -self.power, 1 - self.decay)
