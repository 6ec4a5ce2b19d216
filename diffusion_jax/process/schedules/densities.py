"""Schedules made for a density of training over log-SNR: uniform times give just that density."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, finite, ordered, positive
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import BoundedLogSnr, schedules
from diffusion_jax.struct import Scalar, pytree


@schedules.register("linear_log_snr")
@pytree
class LinearLogSnr:
    """Log-SNR linear in time, so that all between its ends are equally likely.

    log_snr(t) = log_snr_max + t (log_snr_min - log_snr_max), for t in [0, 1]; variance-preserving.

    Attributes:
        log_snr_min: log-SNR at t = 1.
        log_snr_max: log-SNR at t = 0.

    Source: Kingma et al. 2021 (VDM), section 3.2, whose gamma is minus the log-SNR.

    >>> round(float(LinearLogSnr().level(jnp.float32(0.5)).log_snr), 3)
    4.15
    """

    formula: ClassVar[str] = "λ = log_snr_max + t (log_snr_min − log_snr_max), α² + σ² = 1"

    log_snr_min: Scalar = -5.0
    log_snr_max: Scalar = 13.3

    def __post_init__(self) -> None:
        finite(self, "log_snr_min", "log_snr_max")
        ordered(self, "log_snr_min", "log_snr_max")

    t_min = 0.0
    t_max = 1.0

    def level(self, time: Float[Array, "..."]) -> Level:
        fall = self.log_snr_max - self.log_snr_min
        return Level.from_log_snr(self.log_snr_max - time * fall)

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        return (self.log_snr_max - log_snr) / (self.log_snr_max - self.log_snr_min)


@schedules.register("laplace")
@pytree
class Laplace(BoundedLogSnr):
    """Log-SNR with the density of Laplace.

    log_snr(t) = mean - scale sgn(1/2 - t) log(1 - |1 - 2t|), for t within [0, 1];
    variance-preserving. Half of the times are as close to the mean as scale log 2.

    Attributes:
        mean: log-SNR at t = 1/2.
        scale: of the density exp(-|log_snr - mean|/scale)/(2 scale).
        log_snr_min: log-SNR at the noisy end.
        log_snr_max: log-SNR at the clean end.

    Raises:
        UserError: a noisy end so many scales below the mean that float32 has no time for it.

    Source: Hang et al. 2024 (improved noise schedule), table 1.

    >>> round(float(Laplace().level(jnp.float32(0.5)).log_snr), 3)
    0.0
    """

    formula: ClassVar[str] = "λ = mean − scale sgn(1/2 − t) log(1 − |1 − 2t|), α² + σ² = 1"

    mean: Scalar = 0.0
    scale: Scalar = 0.5
    log_snr_min: Scalar = -6.0
    log_snr_max: Scalar = 15.0

    def __post_init__(self) -> None:
        finite(self, "mean", "log_snr_min", "log_snr_max")
        positive(self, "scale")
        ordered(self, "log_snr_min", "log_snr_max")
        given = (self.mean, self.scale, self.log_snr_min)
        written = all(isinstance(value, (int, float)) for value in given)
        # There 1 - t = exp(-12)/2, fifty times the spacing of float32 below 1.
        if written and self.mean - self.log_snr_min > 12 * self.scale:
            raise UserError(
                f"Laplace: log_snr_min={self.log_snr_min} must be within 12 scales of the "
                f"mean, {self.mean - 12 * self.scale:g} or more."
            )

    def level(self, time: Float[Array, "..."]) -> Level:
        noisy = time > 0.5
        fall = self.scale * jnp.log(2 * jnp.where(noisy, 1 - time, time))
        return Level.from_log_snr(self.mean + jnp.where(noisy, fall, -fall))

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        away = (log_snr - self.mean) / self.scale
        tail = jnp.exp(-jnp.abs(away)) / 2
        return jnp.where(away < 0, 1 - tail, tail)


@schedules.register("cauchy")
@pytree
class Cauchy(BoundedLogSnr):
    """Log-SNR with the density of Cauchy.

    log_snr(t) = mean + scale tan(pi/2 (1 - 2t)), for t within [0, 1]; variance-preserving. Half
    of the times are as close to the mean as scale.

    Attributes:
        mean: log-SNR at t = 1/2.
        scale: of the density scale/(pi ((log_snr - mean)² + scale²)).
        log_snr_min: log-SNR at the noisy end.
        log_snr_max: log-SNR at the clean end.

    Source: Hang et al. 2024 (improved noise schedule), table 1.

    >>> round(float(Cauchy().level(jnp.float32(0.25)).log_snr), 3)
    1.0
    """

    formula: ClassVar[str] = "λ = mean + scale tan(π/2 (1 − 2t)), α² + σ² = 1"

    mean: Scalar = 0.0
    scale: Scalar = 1.0
    log_snr_min: Scalar = -15.0
    log_snr_max: Scalar = 15.0

    def __post_init__(self) -> None:
        finite(self, "mean", "log_snr_min", "log_snr_max")
        positive(self, "scale")
        ordered(self, "log_snr_min", "log_snr_max")

    def level(self, time: Float[Array, "..."]) -> Level:
        slope = jnp.tan(jnp.pi / 2 * (1 - 2 * time))
        return Level.from_log_snr(self.mean + self.scale * slope)

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        # The angle from the clean end, which keeps its digits there.
        return jnp.arctan2(self.scale, log_snr - self.mean) / jnp.pi
