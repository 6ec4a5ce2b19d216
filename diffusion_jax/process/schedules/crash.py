"""The schedule of v-diffusion's samplers."""

from typing import ClassVar

import jax.numpy as jnp
from jax.nn import sigmoid
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import schedules
from diffusion_jax.struct import pytree


@schedules.register("crash")
@pytree
class Crash:
    """sigma = sin²(pi t/2), alpha² = 1 - sigma²: slow at both ends, improved PNDM's levels.

    Source: Crowson 2022 (v-diffusion, the "crash" schedule of its samplers).

    >>> round(float(Crash().level(jnp.float32(0.5)).sigma), 4)
    0.5
    """

    formula: ClassVar[str] = "σ = sin²(πt/2), α = √(1 − σ²)"

    t_min, t_max = 0.0, 1.0

    def level(self, time: Float[Array, "..."]) -> Level:
        # cos(pi t/2) as a sine, so that it is 0 at t = 1; 1 - sigma² = cos² (1 + sin²).
        sine, cosine = jnp.sin(jnp.pi / 2 * time), jnp.sin(jnp.pi / 2 * (1 - time))
        return Level(cosine * jnp.sqrt(1 + sine**2), sine**2)

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        sigma = jnp.sqrt(sigmoid(-log_snr))
        cosine = jnp.sqrt(sigmoid(log_snr) / (1 + sigma))
        return 2 / jnp.pi * jnp.arctan2(jnp.sqrt(sigma), cosine)
