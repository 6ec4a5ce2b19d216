"""Variance-preserving schedules: alpha² + sigma² = 1."""

from typing import ClassVar

import jax.numpy as jnp
from jax.nn import log_sigmoid, sigmoid, softplus
from jaxtyping import Array, Float

from diffusion_jax.errors import finite, ordered, positive
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules.base import BoundedLogSnr, schedules
from diffusion_jax.process.schedules.linear_beta import LinearBeta
from diffusion_jax.struct import Scalar, pytree


@schedules.register("vp_linear")
@pytree
class VPLinear(LinearBeta):
    """The variance-preserving process with linearly growing beta, DDPM's in continuous time.

    log alpha = -t² (beta_max - beta_min)/4 - t beta_min/2, for t in [0, 1].

    Attributes:
        beta_min: beta at t = 0.
        beta_max: beta at t = 1.

    Source: Song et al. 2021 (score SDE), eq. 33.

    >>> round(float(VPLinear().level(jnp.float32(1.0)).alpha), 5)
    0.00657
    """

    formula: ClassVar[str] = (
        "α = exp(−B/2), σ = √(1 − exp(−B)), B = beta_min t + (beta_max − beta_min) t²/2"
    )

    def level(self, time: Float[Array, "..."]) -> Level:
        grown = self.integral(time)
        return Level(jnp.exp(-grown / 2), jnp.sqrt(-jnp.expm1(-grown)))

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.time_of_integral(softplus(-log_snr))


@schedules.register("cosine")
@pytree
class Cosine(BoundedLogSnr):
    """The cosine schedule in continuous time.

    alpha = cos(pi t/2), sigma = sin(pi t/2), that is log-SNR = -2 log tan(pi t/2).
    Time runs between the points where the log-SNR is `log_snr_max` and `log_snr_min`, so that
    neither the signal nor the noise vanishes altogether.

    Attributes:
        log_snr_min: log-SNR at the noisy end.
        log_snr_max: log-SNR at the clean end.

    Source: Nichol & Dhariwal 2021, without their offset; Hoogeboom et al. 2023 (simple
    diffusion), appendix A, for the bounds.

    >>> round(float(Cosine().level(jnp.float32(0.5)).alpha), 4)
    0.7071
    """

    formula: ClassVar[str] = "α = cos(πt/2), σ = sin(πt/2)"

    log_snr_min: Scalar = -15.0
    log_snr_max: Scalar = 15.0

    def __post_init__(self) -> None:
        finite(self, "log_snr_min", "log_snr_max")
        ordered(self, "log_snr_min", "log_snr_max")

    def level(self, time: Float[Array, "..."]) -> Level:
        # cos(a) as sin(pi/2 - a): exact near t = 1, where cos would lose all digits in float32.
        return Level(jnp.sin(jnp.pi / 2 * (1 - time)), jnp.sin(jnp.pi / 2 * time))

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        return 2 / jnp.pi * jnp.arctan(jnp.exp(-log_snr / 2))


@schedules.register("sigmoid")
@pytree
class Sigmoid(BoundedLogSnr):
    """The sigmoid schedule: alpha² falls along a piece of the logistic curve.

    With s(z) = 1/(1 + exp(-z)) and z = (start + t (end - start))/tau:
    alpha² = (s(end/tau) - s(z)) / (s(end/tau) - s(start/tau)), for t in [0, 1], bounded where
    the log-SNR reaches `log_snr_min` and `log_snr_max`.

    Attributes:
        start: where on the logistic curve t = 0 lies.
        end: where on it t = 1 lies.
        tau: temperature; the larger, the closer to a straight line.
        log_snr_min: log-SNR at the noisy end.
        log_snr_max: log-SNR at the clean end.

    Source: Jabri et al. 2022, algorithm 1. (GeoDiff's schedule of the same name is another.)

    >>> round(float(Sigmoid().level(jnp.float32(0.5)).alpha), 4)
    0.7071
    """

    formula: ClassVar[str] = (
        "α² = (s(end/tau) − s(z))/(s(end/tau) − s(start/tau)), z = (start + t (end − start))/tau, "
        "s(z) = 1/(1 + exp(−z)), α² + σ² = 1"
    )

    start: Scalar = -3.0
    end: Scalar = 3.0
    tau: Scalar = 1.0
    log_snr_min: Scalar = -15.0
    log_snr_max: Scalar = 15.0

    def __post_init__(self) -> None:
        positive(self, "tau")
        finite(self, "start", "end", "log_snr_min", "log_snr_max")
        ordered(self, "start", "end")
        ordered(self, "log_snr_min", "log_snr_max")

    def level(self, time: Float[Array, "..."]) -> Level:
        low, high = self.start / self.tau, self.end / self.tau
        z = low + time * (high - low)
        # s(p) - s(q) = s(p) s(-q) (1 - exp(q - p)) keeps its digits where p is close to q.
        whole = sigmoid(high) * sigmoid(-low) * -jnp.expm1(low - high)
        signal = sigmoid(high) * sigmoid(-z) * -jnp.expm1((time - 1) * (high - low))
        noise = sigmoid(z) * sigmoid(-low) * -jnp.expm1(-time * (high - low))
        return Level(jnp.sqrt(signal / whole), jnp.sqrt(noise / whole))

    def time(self, log_snr: Float[Array, "..."]) -> Float[Array, "..."]:
        low, high = self.start / self.tau, self.end / self.tau
        whole = sigmoid(high) * sigmoid(-low) * -jnp.expm1(low - high)
        # z - low = logit(s(low) + d) - logit(s(low)), where d = sigma² whole.
        d = jnp.exp(log_sigmoid(-log_snr)) * whole
        return (jnp.log1p(d / sigmoid(low)) - jnp.log1p(-d / sigmoid(-low))) / (high - low)
