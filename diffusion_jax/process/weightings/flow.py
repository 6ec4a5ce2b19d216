"""Weights on the velocity of the straight path with the same sigma/alpha, as SD3 compares them.

They are densities over that path's time t = sigma/(sigma + alpha): with uniform times on the
straight path, each is what drawing the times of the same name (`time_samplers`) would give.
"""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import finite, positive
from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import Prediction
from diffusion_jax.process.weightings.base import on_velocity, weightings
from diffusion_jax.struct import Scalar, pytree


@weightings.register("flow")
@pytree
class Flow:
    """1 on eps - x_0: flow matching on the straight path, whatever is predicted.

    Source: Lipman et al. 2022 (flow matching), eq. 23; Liu et al. 2022 (rectified flow), eq. 1.
    """

    formula: ClassVar[str] = "w = 1, on |(ε − x₀) − (ε̂ − x̂₀)|²"

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        return on_velocity(jnp.ones_like(level.alpha), level, prediction)


@weightings.register("cosmap")
@pytree
class CosMapWeighting:
    """2/(pi (1 - 2 t + 2 t²)) on eps - x_0, with t = sigma/(sigma + alpha).

    Source: Esser et al. 2024 (SD3), eq. 21.
    """

    formula: ClassVar[str] = "w = 2/(π (1 − 2t + 2t²)), t = σ/(σ + α), on |(ε − x₀) − (ε̂ − x̂₀)|²"

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        t = level.sigma / (level.sigma + level.alpha)
        return on_velocity(2 / jnp.pi / (1 - 2 * t + 2 * t**2), level, prediction)


@weightings.register("logit_normal")
@pytree
class LogitNormalWeighting:
    """The density of the logit-normal distribution at t = sigma/(sigma + alpha), on eps - x_0.

    Attributes:
        mean: of the logit, which is log(sigma/alpha).
        std: of the logit.

    Source: Esser et al. 2024 (SD3), eq. 19.
    """

    formula: ClassVar[str] = (
        "w = exp(−(log(t/(1 − t)) − mean)²/(2 std²))/(std √(2π) t (1 − t)), t = σ/(σ + α), on |(ε "
        "− x₀) − (ε̂ − x̂₀)|²"
    )

    mean: Scalar = 0.0
    std: Scalar = 1.0

    def __post_init__(self) -> None:
        finite(self, "mean")
        positive(self, "std")

    def weight(
        self, level: Level, prediction: Prediction, slope: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        # 1/(t (1 - t)) = (sigma + alpha)²/(sigma alpha), in the exponent, where it cannot overflow.
        logit = -level.log_snr / 2
        jacobian = 2 * jnp.log(level.sigma + level.alpha) - jnp.log(level.sigma * level.alpha)
        exponent = jacobian - ((logit - self.mean) / self.std) ** 2 / 2
        density = jnp.exp(exponent) / (self.std * jnp.sqrt(2 * jnp.pi))
        # At either end of time the density vanishes faster than any power.
        return on_velocity(jnp.where(jnp.isfinite(logit), density, 0), level, prediction)
