"""Paths whose signal is a power of the time that is left."""

from typing import ClassVar

import jax.numpy as jnp
from jax.nn import sigmoid, softplus
from jaxtyping import Array, Float

from diffusion_jax.errors import within
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import schedules
from diffusion_jax.struct import Scalar, pytree


@schedules.register("polynomial")
@pytree
class Polynomial:
    """The straight path at the pace of a power: alpha = (1 - t)^power, sigma = 1 - alpha.

    For t in [0, 1]; power = 1 is rectified flow. At t = 1 no signal is left.

    Attributes:
        power: 1 or more, so that the speed is finite at t = 1.

    Source: Lipman et al. 2024 (flow matching guide), section 4.8.1 (their time is 1 - t).

    >>> Polynomial(power=2.0).level(jnp.float32(0.5)).alpha
    Array(0.25, dtype=float32)
    """

    formula: ClassVar[str] = "α = (1 − t)^power, σ = 1 − α"

    power: Scalar = 2.0

    def __post_init__(self) -> None:
        within(self, 1, float("inf"), "power")

    t_min = 0.0
    t_max = 1.0

    def level(self, time: Float[Array, "..."]) -> Level:
        alpha = (1 - time) ** self.power
        # 1 - alpha loses digits at small t, and the logarithm is infinite at t = 1.
        early = time < 0.5
        small = jnp.where(early, time, 0)
        sigma = jnp.where(early, -jnp.expm1(self.power * jnp.log1p(-small)), 1 - alpha)
        return Level(alpha, sigma)

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        log_alpha = -softplus(-log_snr / 2)  # alpha/(1 - alpha) = exp(log_snr/2)
        return -jnp.expm1(log_alpha / self.power)


@schedules.register("linear_vp")
@pytree
class LinearVP:
    """The variance-preserving path with linear signal: alpha = 1 - t, sigma = sqrt(1 - alpha²).

    For t in [0, 1]. At t = 1 no signal is left.

    Source: Lipman et al. 2024 (flow matching guide), section 4.8.1 (their time is 1 - t).

    >>> round(float(LinearVP().level(jnp.float32(0.4)).sigma), 4)
    0.8
    """

    formula: ClassVar[str] = "α = 1 − t, σ = √(1 − α²)"

    t_min = 0.0
    t_max = 1.0

    def level(self, time: Float[Array, "..."]) -> Level:
        return Level(1 - time, jnp.sqrt(time * (2 - time)))

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        # 1 - alpha = sigma²/(1 + alpha)
        return sigmoid(-log_snr) / (1 + jnp.sqrt(sigmoid(log_snr)))
