"""Normal distributions of the noise level: in its logarithm, in the logit of time."""

from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Float

from diffusion_jax.errors import finite, positive
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.process.time_samplers.base import TimeSampler, at_noise, at_share, time_samplers
from diffusion_jax.struct import Scalar, pytree


@time_samplers.register("log_normal")
@pytree
class LogNormal(TimeSampler):
    """Normal in log(sigma/alpha), clipped to what the schedule reaches.

    Attributes:
        mean: of log(sigma/alpha); EDM2 has -0.4 (ImageNet at 512, latents) or -0.8 (64).
        std: of log(sigma/alpha); EDM2 has 1.0 or 1.6.

    Source: Karras et al. 2022 (EDM), table 1; Karras et al. 2024 (EDM2), table 2.
    """

    formula: ClassVar[str] = "log(σ/α) = mean + std Φ⁻¹(u)"

    mean: Scalar = -1.2
    std: Scalar = 1.2

    def __post_init__(self) -> None:
        finite(self, "mean")
        positive(self, "std")

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        return at_noise(schedule, self.mean + self.std * ndtri(u))


@time_samplers.register("split_log_normal")
@pytree
class SplitLogNormal(TimeSampler):
    """Two halves of normal distributions in log(sigma/alpha), joined at their mode.

    The half below has the share std_low/(std_low + std_high), which makes the density continuous.

    Attributes:
        mode: of log(sigma/alpha).
        std_low: of the half below the mode.
        std_high: of the half above it.

    Source: Fechner 1897 (two-piece normal); Crowson 2022 (k-diffusion) for training times.
    """

    formula: ClassVar[str] = (
        "log(σ/α) = mode + std_low Φ⁻¹(u/(2w)) for u < w, mode − std_high Φ⁻¹((1 − u)/(2 − 2w)) "
        "for u ≥ w, w = std_low/(std_low + std_high)"
    )

    mode: Scalar = -1.2
    std_low: Scalar = 1.2
    std_high: Scalar = 1.2

    def __post_init__(self) -> None:
        finite(self, "mode")
        positive(self, "std_low", "std_high")

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        low = self.std_low / (self.std_low + self.std_high)
        below, above = u / (2 * low), (1 - u) / (2 * (1 - low))
        # Each half sees only quantiles of its own, so that the other's have no NaN slopes.
        left = self.std_low * ndtri(jnp.minimum(below, 0.5))
        right = -self.std_high * ndtri(jnp.minimum(above, 0.5))
        return at_noise(schedule, self.mode + jnp.where(u < low, left, right))


@time_samplers.register("logit_normal")
@pytree
class LogitNormal(TimeSampler):
    """Normal in the logit of the relative time (t - t_min)/(t_max - t_min).

    Attributes:
        mean: of the logit; more than 0 leans to the noise.
        std: of the logit.

    Source: Esser et al. 2024 (SD3), eq. 19.

    >>> from diffusion_jax.process.schedules import schedules
    >>> float(LogitNormal().time(jnp.float32(0.5), schedules.make("rectified_flow")))
    0.5
    """

    formula: ClassVar[str] = "log(τ/(1 − τ)) = mean + std Φ⁻¹(u), τ = (t − t_min)/(t_max − t_min)"

    mean: Scalar = 0.0
    std: Scalar = 1.0

    def __post_init__(self) -> None:
        finite(self, "mean")
        positive(self, "std")

    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        return at_share(schedule, jax.nn.sigmoid(self.mean + self.std * ndtri(u)))
