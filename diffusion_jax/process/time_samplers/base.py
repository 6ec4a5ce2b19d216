"""What a distribution of training times is, the registry of all, and their density.

All arms of a comparison share the draw u in (0, 1); each turns it into its own time. A member is
thus a quantile function, and its density over log-SNR follows by differentiation:
p(log_snr) = 1/|d log_snr/du|.
"""

from abc import ABC, abstractmethod

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import Schedule, log_snr_range
from diffusion_jax.registry import Registry
from diffusion_jax.struct import Scalar


class TimeSampler(ABC):
    """A distribution of training times over a schedule."""

    @abstractmethod
    def time(self, u: Float[Array, "*shape"], schedule: Schedule) -> Float[Array, "*shape"]:
        """The time, in [t_min, t_max], at quantile u in (0, 1); noisier as u grows."""

    def stratify(self, u: Float[Array, "batch"]) -> Float[Array, "batch"]:
        """Makes independent uniform draws of a batch depend on each other; by default not."""
        return u


time_samplers: Registry[TimeSampler] = Registry("time sampler", TimeSampler)


def at_share(schedule: Schedule, share: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The time at a share, from 0 to 1, of the interval from t_min to t_max."""
    return schedule.t_min + share * (schedule.t_max - schedule.t_min)


def at_noise(schedule: Schedule, log_noise: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The time at which log(sigma/alpha) is `log_noise`, clipped to what the schedule reaches."""
    return jnp.clip(schedule.time(-2 * log_noise), schedule.t_min, schedule.t_max)


def noise_range(
    schedule: Schedule, sigma_min: Scalar, sigma_max: Scalar
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The (least, most) log(sigma/alpha) within both the schedule and sigma_min … sigma_max."""
    noisiest, cleanest = log_snr_range(schedule)
    least = jnp.maximum(jnp.log(sigma_min), -cleanest / 2)
    return least, jnp.maximum(least, jnp.minimum(jnp.log(sigma_max), -noisiest / 2))


def log_snr_slope(
    distribution: TimeSampler, schedule: Schedule, u: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """|d log_snr/du| at quantile u, the inverse of the training density over log-SNR.

    >>> from diffusion_jax.process.schedules import schedules
    >>> uniform, u = time_samplers.make("uniform"), jnp.array([0.2, 0.7])
    >>> slope = log_snr_slope(uniform, schedules.make("ve"), u)
    >>> [round(float(value), 2) for value in slope]
    [17.03, 17.03]
    """

    return at_quantile(distribution, schedule, u)[2]


def at_quantile(
    distribution: TimeSampler, schedule: Schedule, u: Float[Array, "*shape"]
) -> tuple[Float[Array, "*shape"], Level, Float[Array, "*shape"]]:
    """Time, level and `log_snr_slope` at quantile u, for little more than the price of one."""

    def log_snr(
        quantile: Float[Array, "*shape"],
    ) -> tuple[Float[Array, "*shape"], tuple[Float[Array, "*shape"], Level]]:
        time = distribution.time(quantile, schedule)
        level = schedule.level(time)
        return level.log_snr, (time, level)

    _, slope, (time, level) = jax.jvp(log_snr, (u,), (jnp.ones_like(u),), has_aux=True)
    return time, level, jnp.abs(slope)
