"""A half-life counted in pictures."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffusion_jax.errors import UserError
from diffusion_jax.struct import Scalar, pytree
from diffusion_jax.training.ema.base import averages


@averages.register("half_life")
@pytree
class HalfLife:
    """A half-life counted in pictures, shorter at the start.

    w_t = 1 - 2^(-B / h) for batches of B pictures, with h = min(samples, ramp_up n) after n
    pictures. Independent of the batch size, so that runs with different batches compare.
    Source: Karras et al. 2022 (EDM), table 6 and their training loop.

    Attributes:
        samples: half-life, in pictures.
        ramp_up: largest share of the pictures seen so far that the half-life may be.
        batch_size: B; filled in from the config.

    >>> float(HalfLife(samples=100, ramp_up=1.0, batch_size=10).weight(jnp.int32(2)))
    0.5
    """

    formula: ClassVar[str] = "w_t = 1 − 2^(−B/h), h = min(samples, ramp_up n), n = (t − 1) B"

    samples: Scalar = 500_000
    ramp_up: Scalar = 0.05
    batch_size: Scalar = 1

    def __post_init__(self) -> None:
        if self.samples <= 0 or self.ramp_up <= 0:
            raise UserError(
                "ema 'half_life' needs samples > 0 and ramp_up > 0, "
                f"got samples={self.samples}, ramp_up={self.ramp_up}."
            )

    def weight(self, step: Int[Array, ""]) -> Float[Array, ""]:
        seen = jnp.asarray(step - 1, float) * self.batch_size
        half_life = jnp.minimum(self.samples, self.ramp_up * seen)
        return -jnp.expm1(-jnp.log(2.0) * self.batch_size / half_life)
