"""Logistic in the logarithm of the noise."""

from typing import ClassVar

import jax.numpy as jnp
from jax.nn import sigmoid
from jax.scipy.special import logit
from jaxtyping import Array, Float

from diffusion_jax.errors import finite, ordered, positive
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.process.time_samplers.base import (
    TimeSampler,
    at_noise,
    noise_range,
    time_samplers,
)
from diffusion_jax.struct import Scalar, pytree


@time_samplers.register("log_logistic")
@pytree
class LogLogistic(TimeSampler):
    """Logistic in log(sigma/alpha), cut off at both ends.

    Attributes:
        mean: of log(sigma/alpha) without the cut.
        scale: of its logistic distribution; the standard deviation is pi/sqrt(3) times it.
        sigma_min: least sigma/alpha, if the schedule goes so far.
        sigma_max: most sigma/alpha, likewise.

    Source: Hang & Gu 2024 compare densities over log-SNR; Crowson 2022 (k-diffusion) trains with
    this one.

    >>> from diffusion_jax.process.schedules import schedules
    >>> middle = LogLogistic(mean=0.0, sigma_min=0.1, sigma_max=10.0).time(
    ...     jnp.float32(0.5), schedules.make("edm")
    ... )
    >>> round(float(middle), 3)
    1.0
    """

    formula: ClassVar[str] = (
        "log(σ/α) = mean + scale log(q/(1 − q)), q linear in u, from that of sigma_min to that of "
        "sigma_max"
    )

    mean: Scalar = -1.2
    scale: Scalar = 0.6
    sigma_min: Scalar = 0.002
    sigma_max: Scalar = 80.0

    def __post_init__(self) -> None:
        finite(self, "mean")
        positive(self, "scale", "sigma_min", "sigma_max")
        ordered(self, "sigma_min", "sigma_max")

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        least, most = noise_range(schedule, self.sigma_min, self.sigma_max)
        low = sigmoid((least - self.mean) / self.scale)
        high = sigmoid((most - self.mean) / self.scale)
        quantile = low + u * (high - low)
        return at_noise(schedule, jnp.clip(self.mean + self.scale * logit(quantile), least, most))
