"""Along a quarter of the circle at constant speed, from data to pure noise."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import positive
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import schedules
from diffusion_jax.struct import Scalar, pytree


@schedules.register("trig_flow")
@pytree
class TrigFlow:
    """The trigonometric, or generalised variance-preserving, path: cos(pi t/2), sin(pi t/2).

    alpha = cos(pi t/2), sigma = sin(pi t/2), for t in [0, 1]. At t = 1 no signal is left: the
    schedule `cosine` is the same curve between bounds of the log-SNR.

    Attributes:
        scale: of the noise, sigma = scale sin(pi t/2); with the data's own standard deviation, x
            has that at all times, as in TrigFlow.

    Source: Albergo & Vanden-Eijnden 2023 (stochastic interpolants), eq. 5; Lu & Song 2024
    (TrigFlow), eq. 7, whose time is pi t/2.

    >>> round(float(TrigFlow().level(jnp.float32(0.5)).alpha), 4)
    0.7071
    """

    formula: ClassVar[str] = "α = cos(πt/2), σ = scale sin(πt/2)"

    scale: Scalar = 1.0

    t_min = 0.0
    t_max = 1.0

    def __post_init__(self) -> None:
        positive(self, "scale")

    def level(self, time: Float[Array, "..."]) -> Level:
        # cos(a) as sin(pi/2 - a), which is 0 at t = 1, and exact near it.
        return Level(jnp.sin(jnp.pi / 2 * (1 - time)), self.scale * jnp.sin(jnp.pi / 2 * time))

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        return 2 / jnp.pi * jnp.arctan(jnp.exp(-log_snr / 2) / self.scale)
