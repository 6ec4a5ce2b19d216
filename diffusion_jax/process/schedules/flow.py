"""Straight paths from data to noise: alpha + sigma = 1."""

from typing import ClassVar

from jax.nn import sigmoid
from jaxtyping import Array, Float

from diffusion_jax.errors import positive
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import schedules
from diffusion_jax.struct import Scalar, pytree


@schedules.register("rectified_flow")
@pytree
class RectifiedFlow:
    """Rectified flow, also known as conditional optimal transport: x = (1 - sigma) x_0 + sigma eps.

    sigma = shift t / (1 + (shift - 1) t), for t in [0, 1]; shift = 1 gives sigma = t. A shift
    lowers the log-SNR by 2 log(shift) at each time. At t = 1 no signal is left.

    Attributes:
        shift: more than 1 spends more of the time at high noise, as large pictures need.

    Source: Liu et al. 2022 (rectified flow), Lipman et al. 2022; Esser et al. 2024 (SD3), eq. 23,
    for the shift.

    >>> import jax.numpy as jnp
    >>> RectifiedFlow(shift=3.0).level(jnp.float32(0.5)).sigma
    Array(0.75, dtype=float32)
    """

    formula: ClassVar[str] = "σ = shift t/(1 + (shift − 1) t), α = 1 − σ"

    shift: Scalar = 1.0

    def __post_init__(self) -> None:
        positive(self, "shift")

    t_min = 0.0
    t_max = 1.0

    def level(self, time: Float[Array, "..."]) -> Level:
        scale = 1 + (self.shift - 1) * time
        return Level((1 - time) / scale, self.shift * time / scale)

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        alpha, sigma = sigmoid(log_snr / 2), sigmoid(-log_snr / 2)
        return sigma / (self.shift * alpha + sigma)
