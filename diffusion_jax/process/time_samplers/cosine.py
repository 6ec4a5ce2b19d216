"""Uniform in the time of the cosine schedule, whatever the schedule trained on."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import ordered, positive
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.process.time_samplers.base import (
    TimeSampler,
    at_noise,
    noise_range,
    time_samplers,
)
from diffusion_jax.struct import Scalar, pytree

Ends = tuple[Float[Array, ""], Float[Array, ""]]


def _log_tangent(u: Float[Array, "*shape"], ends: Ends) -> Float[Array, "*shape"]:
    """log tan of an angle uniform between those whose tangents' logarithms are `ends`."""
    low, high = (jnp.arctan(jnp.exp(end)) for end in ends)
    return jnp.log(jnp.tan(low + u * (high - low)))


@time_samplers.register("cosine")
@pytree
class CosineTimeSampler(TimeSampler):
    """sigma/alpha = sigma_data tan(angle), with the angle uniform: v-diffusion's density.

    That is a hyperbolic secant in log(sigma/alpha), cut off at both ends.

    Attributes:
        sigma_data: where it is densest, in sigma/alpha.
        sigma_min: least sigma/alpha, if the schedule goes so far.
        sigma_max: most sigma/alpha, likewise.

    Source: Salimans & Ho 2022 (progressive distillation), section 2; Kingma & Gao 2023 (VDM++),
    table 2, for the density; Crowson 2022 (k-diffusion) for sigma_data.

    >>> from diffusion_jax.process.schedules import schedules
    >>> round(float(CosineTimeSampler().time(jnp.float32(0.5), schedules.make("edm"))), 1)
    0.5
    """

    formula: ClassVar[str] = (
        "σ/α = sigma_data tan(φ), φ from arctan(sigma_min/sigma_data) to "
        "arctan(sigma_max/sigma_data), linear in u"
    )

    sigma_data: Scalar = 0.5
    sigma_min: Scalar = 0.002
    sigma_max: Scalar = 80.0

    def __post_init__(self) -> None:
        positive(self, "sigma_data", "sigma_min", "sigma_max")
        ordered(self, "sigma_min", "sigma_max")

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        least, most = noise_range(schedule, self.sigma_min, self.sigma_max)
        centre = jnp.log(self.sigma_data)
        return at_noise(schedule, centre + _log_tangent(u, (least - centre, most - centre)))


@time_samplers.register("cosine_interpolated")
@pytree
class CosineInterpolated(TimeSampler):
    """Between two shifted cosine schedules, from one at the clean end to one at the noisy end.

    log_snr(u) = u l(u; noise_size_low) + (1 - u) l(u; noise_size_high), where l(u; d) is the
    cosine schedule of simple diffusion, shifted by 2 log(d/size), and with the same ends for all.

    Attributes:
        size: side of the pictures in pixels.
        noise_size_low: size whose noise is right at the noisy end.
        noise_size_high: size whose noise is right at the clean end.
        sigma_data: standard deviation of the data.
        sigma_min: least sigma/alpha, if the schedule goes so far.
        sigma_max: most sigma/alpha, likewise.

    Source: Hoogeboom et al. 2023 (simple diffusion), section 3.1.
    """

    formula: ClassVar[str] = (
        "log(σ/α) = u l(u, noise_size_low) + (1 − u) l(u, noise_size_high), l(u, d) = "
        "log(sigma_data size/d tan φ(u, d)), φ linear in u, l from log sigma_min to log sigma_max"
    )

    size: Scalar = 64.0
    noise_size_low: Scalar = 32.0
    noise_size_high: Scalar = 64.0
    sigma_data: Scalar = 0.5
    sigma_min: Scalar = 0.002
    sigma_max: Scalar = 80.0

    def __post_init__(self) -> None:
        positive(self, "size", "noise_size_low", "noise_size_high", "sigma_data")
        positive(self, "sigma_min", "sigma_max")
        ordered(self, "sigma_min", "sigma_max")

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        least, most = noise_range(schedule, self.sigma_min, self.sigma_max)
        data = jnp.log(self.sigma_data)

        def shifted(noise_size: Scalar) -> Float[Array, "*shape"]:
            # Noise seen at size / noise_size pixels to the side averages down by that factor.
            centre = data + jnp.log(self.size) - jnp.log(noise_size)
            return centre + _log_tangent(u, (least - centre, most - centre))

        low, high = shifted(self.noise_size_low), shifted(self.noise_size_high)
        return at_noise(schedule, u * low + (1 - u) * high)
