"""Improved DDPM's cosine in continuous time, with its offset."""

from typing import ClassVar

import jax.numpy as jnp
from jax.nn import sigmoid
from jaxtyping import Array, Float

from diffusion_jax.errors import positive, within
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import schedules
from diffusion_jax.struct import Scalar, pytree


@schedules.register("iddpm_cosine")
@pytree
class IDDPMCosine:
    """The cosine schedule with an offset: alpha = f(t)/f(0), f(t) = cos(pi/2 (t + s)/(1 + s)).

    The continuous form of the table `ddpm_cosine`, for t in [0, t_max]. The offset s makes beta
    positive at t = 0.

    Attributes:
        offset: s.
        t_max: where it ends, so that some signal is left.

    Source: Nichol & Dhariwal 2021 (improved DDPM), eq. 17; Lu et al. 2022 (DPM-Solver), appendix
    D.4, for t_max.

    >>> round(float(IDDPMCosine().level(jnp.float32(0.5)).alpha), 3)
    0.703
    """

    formula: ClassVar[str] = "α = f(t)/f(0), f(t) = cos(π/2 (t + offset)/(1 + offset)), α² + σ² = 1"

    offset: Scalar = 0.008
    t_max: Scalar = 0.9946

    def __post_init__(self) -> None:
        positive(self, "offset", "t_max")
        within(self, 0, 1, "t_max")

    t_min = 0.0

    @property
    def _first(self) -> Scalar:
        """The angle a_0 at t = 0."""
        return jnp.pi / 2 * self.offset / (1 + self.offset)

    def level(self, time: Float[Array, "..."]) -> Level:
        turned = jnp.pi / 2 / (1 + self.offset)
        # cos(a) = sin(pi/2 - a); cos²(a_0) - cos²(a) = sin(a - a_0) sin(a + a_0): no cancellation.
        alpha = jnp.sin(turned * (1 - time)) / jnp.cos(self._first)
        variance = jnp.sin(turned * time) * jnp.sin(turned * time + 2 * self._first)
        return Level(alpha, jnp.sqrt(variance) / jnp.cos(self._first))

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        low_sin, low_cos = jnp.sin(self._first), jnp.cos(self._first)
        # The angle a by its sine and cosine, and then a - a_0 by its own.
        cosine = jnp.sqrt(sigmoid(log_snr)) * low_cos
        spread = sigmoid(-log_snr) * low_cos**2
        sine = jnp.sqrt(low_sin**2 + spread)
        sine_apart = spread / (sine * low_cos + cosine * low_sin)
        cosine_apart = cosine * low_cos + sine * low_sin
        return jnp.arctan2(sine_apart, cosine_apart) * 2 / jnp.pi * (1 + self.offset)
