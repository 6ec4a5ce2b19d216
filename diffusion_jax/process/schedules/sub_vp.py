"""The process that preserves less than the variance: sigma = 1 - alpha²."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import schedules
from diffusion_jax.process.schedules.linear_beta import LinearBeta
from diffusion_jax.struct import pytree


@schedules.register("sub_vp")
@pytree
class SubVP(LinearBeta):
    """The sub-variance-preserving process: alpha = exp(-B/2), sigma = 1 - exp(-B).

    B(t) = t² (beta_max - beta_min)/2 + t beta_min, for t in [0, 1]. Its variance never exceeds
    that of the variance-preserving process with the same beta.

    Attributes:
        beta_min: beta at t = 0.
        beta_max: beta at t = 1.

    Source: Song et al. 2021 (score SDE), eq. 29.

    >>> level = SubVP().level(jnp.float32(0.1))
    >>> round(float(level.sigma + level.alpha**2), 4)
    1.0
    """

    formula: ClassVar[str] = (
        "α = exp(−B/2), σ = 1 − exp(−B), B = beta_min t + (beta_max − beta_min) t²/2"
    )

    def level(self, time: Float[Array, "..."]) -> Level:
        grown = self.integral(time)
        return Level(jnp.exp(-grown / 2), -jnp.expm1(-grown))

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        # sigma/alpha = 2 sinh(B/2).
        grown = 2 * jnp.arcsinh(jnp.exp(-log_snr / 2) / 2)
        return self.time_of_integral(grown)
